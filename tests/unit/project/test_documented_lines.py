"""Every line of the documents that a reader is to type is typed here, or by the test or make target that is named.

And whatever they say of `kubetune`, in lines or in between, has a command, options and values that it knows.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import documented
import pytest
import yaml
from click.testing import CliRunner
from documented import blocks, exists, pages

from kubetune.cli.app import kubetune

ROOT = documented.ROOT
RECORDED = ROOT / "tests" / "unit" / "report" / "recorded"
"""The state directory of a run of the job `teach`."""

TYPED_BY = {
    r"make [a-z0-9-]+": "",
    r"(?:KUBETUNE_SEARCH=\d+ )?\.venv/bin/pytest .*?(tests/\S+)": "",
    r"\.venv/bin/python tests/support/tiny\.py ": "tests/integration/test_documented_training.py",
    r"kubetune run ": "tests/integration/test_two_nodes.py",
    r"kubetune init$": "tests/unit/cli/test_init.py",
    r"kubetune estimate .*--volume ": "tests/unit/cli/test_estimate.py",
    r"kubetune explain \S*teach-granite": "tests/cluster/test_explain.py",
    r"kubetune checkpoints .*--(verify|copy-out)": "tests/unit/cli/test_report_commands.py",
    r"kubetune (report|checkpoints) .*-n research": "tests/cluster/test_cli.py",
    r"kubetune (submit|get|logs|top|suspend|resume|retry|delete)\b": "tests/cluster/test_cli.py",
    r"kubectl get osftjob teach -o yaml \| kubetune explain -": "tests/unit/cli/test_explain.py",
    r"kubectl get osftjob teach -o yaml \| kubetune report -": "tests/unit/cli/test_report_commands.py",
    r"helm template chart \| kubetune validate -": "tests/unit/cli/test_app.py::test_validate_reads_standard_input",
    r"kubetune crds \| kubectl apply ": "tests/unit/cli/test_app.py::test_crds_prints_both",
    r"eval \"\$\(kubetune completion bash\)\"": "tests/unit/cli/test_completion.py",
    r"\.venv/bin/python -m kubetune\.controller ": "tests/cluster/test_demonstration.py",
    r"export KUBECONFIG=": "tests/cluster/test_demonstration.py",
    r"kubectl apply -f examples/cpu/": "tests/e2e/test_training.py",
    r"kubectl (apply -f examples/kueue|get sftjob)": "tests/cluster/kueue/test_kueue.py",
    r"kubectl patch configmap argocd-cm ": "tests/cluster/test_gitops.py::test_argo_cds_config_map_takes_the_patch",
    r"helm upgrade kubetune .*tracing\.endpoint": "tests/cluster/chart/test_templates.py::test_values_to_manifests",
    r"helm (un)?install |kubectl (-n kubetune-system rollout|delete crd) ": "tests/cluster/chart/test_release.py",
    r"kubectl (apply -f examples/minimal|apply -k deploy/|apply --server-side|get osftjobs|wait) ?": "tests/cluster/test_demonstration.py",
    r"python -m kubetune_trainer\.checkpoints\.ledger ": "tests/integration/test_documented_training.py",
    r"python -m kubetune_trainer\.training_hub ": "tests/unit/trainer/test_training_hub.py",
}
"""What a command begins with, and who types it or the like, the first that fits; "": the command says it itself."""

NOT_TYPED = {
    r"kubectl apply -f examples/gitops/argocd/": (
        "Argo CD, which is not to be had where this is built: its fields are read",
        "tests/unit/project/test_argocd.py::test_the_application_does_as_the_page_says",
    ),
    r"kubectl describe workload/pytorchjob-teach-sft-1-1a2b3 ": (
        "explain says it, of a Workload whose name Kueue made up",
        "tests/unit/explain/test_waiting.py::test_kueues_own_word_goes_before_the_conditions",
    ),
    r"helm upgrade kubetune .*serviceMonitor": (
        "the Prometheus operator's kinds: what the chart makes for them is compared with what is golden",
        "tests/cluster/chart/test_templates.py",
    ),
    r"apt-get install ": ("root on Debian; what it installs is looked for before anything is started", "make e2e"),
}
"""What no test types: why, and what tests the rest of it."""

PROGRAMS = re.compile(
    r"(KUBETUNE_\w+=\S+ )?(\.venv/|make |kubectl |helm |pip |docker |python |apt-get |export |kubetune |eval |aws )"
)
INLINE = re.compile(r"`(?:\.venv/bin/)?(kubetune [a-z][^`\n]*)`")
FORM = re.compile(r"[\[\]<|…]|\.\.\.|\b[A-Z]{3,}\b")
"""Of a command that is no command but the form of one."""


def indented(page: str) -> list[str]:
    """The commands among a page's indented lines, those of several lines in one."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
    lines = (re.sub(r"\s+#.*| &$", "", line).strip().removeprefix("$ ") for line in text.splitlines() if line.startswith("    "))
    return [re.sub(r"\.venv/bin/kubetune\b", "kubetune", line) for line in lines if PROGRAMS.match(line)]


PAGES = [page for page in pages() if indented(page)]


def who(command: str) -> str | None:
    """What types it, or the like; None: nobody is named."""
    rule = next((rule for rule in TYPED_BY if re.match(rule, command)), None)
    found = re.match(rule, command) if rule else None
    return (TYPED_BY[rule] or next(filter(None, found.groups()), found[0])) if rule and found else None


def why_not(command: str) -> tuple[str, str] | None:
    """Why nobody types it, and what tests the rest."""
    return next((told for rule, told in NOT_TYPED.items() if re.match(rule, command)), None)


@pytest.mark.parametrize("page", PAGES)
def test_each_line_is_typed_by_somebody_or_says_why_not(page: str) -> None:
    unknown = [command for command in indented(page) if not (who(command) or why_not(command))]
    assert [command for command in unknown if not command.startswith("kubetune ")] == []


@pytest.mark.parametrize("where", sorted({*filter(None, TYPED_BY.values()), *(where for _, where in NOT_TYPED.values())}))
def test_who_is_named_is_there(where: str) -> None:
    assert exists(where)


def test_what_says_it_itself_is_there() -> None:
    own = [rule for rule, named in TYPED_BY.items() if not named]
    lines = [line for page in PAGES for line in indented(page) if any(re.match(rule, line) for rule in own)]
    assert len(lines) > 10
    assert [line for line in lines if not exists(str(who(line)).rstrip("/"))] == []


def test_no_rule_is_left_over() -> None:
    commands = [command for page in PAGES for command in indented(page)]
    assert [rule for rule in (*TYPED_BY, *NOT_TYPED) if not any(re.match(rule, command) for command in commands)] == []


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with all that the lines of `kubetune` name; whoever asks a cluster finds none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    shutil.copytree(RECORDED, tmp_path / ".kubetune")
    stored = json.loads((RECORDED / "resources/osftjob/default/teach.json").read_text())
    job = yaml.safe_dump({**{key: stored[key] for key in ("apiVersion", "kind", "spec")}, "metadata": {"name": "teach"}})
    for file in ("job.yaml", "jobs/teach.yaml", "more/job.yaml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(job)
    model = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 512}
    model |= {"num_attention_heads": 4, "num_key_value_heads": 2, "torch_dtype": "float32"}
    named = tmp_path / ".kubetune/volumes" / stored["spec"]["model"]["uri"].removeprefix("pvc://") / "config.json"
    for file in (named, tmp_path / "config.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(model))
    return tmp_path


PLACES = ("/mnt/runs/default-teach-1234abcd", "/runs/a")
"""Where the documents say that a job's directory is mounted."""

OTHER_NAME = "demo"
"""Of the job that was run."""


@pytest.mark.parametrize("page", [page for page in PAGES if any(line.startswith("kubetune ") for line in indented(page))])
def test_lines_of_kubetune_that_need_nothing_are_typed(page: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; into a file or another program goes what comes of them elsewhere."""
    directory = str(next((desk / ".kubetune/volumes/runs").iterdir()))
    meant = {**dict.fromkeys(PLACES, directory), OTHER_NAME: "teach"}
    (desk / "new").mkdir()
    wrong = []
    for line in (line for line in indented(page) if line.startswith("kubetune ") and not (who(line) or why_not(line))):
        words = [meant.get(word, word) for word in shlex.split(re.split(r" [|>] ", line)[0])[1:]]
        monkeypatch.chdir(desk / "new" if words[0] == "init" else desk)
        done = CliRunner().invoke(kubetune, words)
        if done.exit_code or not done.output:
            wrong.append(f"{line}\nended with {done.exit_code}:\n{done.output}{done.exception or ''}")
    assert wrong == []


def kubetunes(line: str) -> Iterator[str]:
    """The parts of a line that call kubetune, without comment and redirection."""
    for part in re.split(r"\s(?:\||&&|;)\s|\$\(", line):
        words = re.split(r"\s(?:\d?>|#|&)|\)", part.strip().removeprefix(".venv/bin/"))[0].strip()
        if re.match(r"kubetune [a-z]", words) and not FORM.search(words):
            yield words


def spoken_of(page: str) -> Iterator[str]:
    """Commands of kubetune in a page's lines, sessions and sentences."""
    typed = (command.typed for block in blocks(page) if block.is_session for command in block.commands)
    for line in (*indented(page), *typed, *INLINE.findall((ROOT / page).read_text())):
        yield from kubetunes(line)


def misunderstood(line: str) -> str | None:
    """What kubetune does not know of it. That something is left out is no matter: a sentence need not say all."""
    try:
        context = kubetune.make_context("kubetune", [], resilient_parsing=True)
        _, command, rest = kubetune.resolve_command(context, shlex.split(line)[1:])
        if command is None:
            return f"{line}: there is no such command"
        command.make_context(command.name, rest, parent=context)
    except (click.MissingParameter, click.exceptions.Exit):
        return None
    except click.UsageError as error:
        return f"{line}: {error.format_message()}"
    return None


def test_whatever_is_said_of_kubetune_it_knows() -> None:
    said = {line for page in pages() for line in spoken_of(page)}
    helps = (line for each in kubetune.commands.values() for line in (each.epilog or "").splitlines())
    said |= {line for text in helps for line in kubetunes(text)}
    assert len(said) > 80
    assert sorted(filter(None, map(misunderstood, said))) == []


@pytest.mark.parametrize("line", ["kubetune fly", "kubetune get --watch-it", "kubetune explain x -o html", "kubetune run a b"])
def test_what_it_does_not_know_is_found(line: str) -> None:
    assert misunderstood(line)
