from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kubetune.api import load_documents, parse_job
from kubetune.cli.app import kubetune
from kubetune.cli.job_text import scalar


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(kubetune, ["init", *arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def written(file: str = "job.yaml"):
    return parse_job(load_documents(Path(file).read_text())[0])


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_the_defaults_make_a_valid_job_with_comments(call, kind: str, device: str) -> None:
    result = call("--yes", "--kind", kind, "--device", device)
    assert result.exit_code == 0, result.stderr
    job = written()
    assert (job.kind, job.spec.device, job.spec.nodes) == (kind, device, 1)
    assert "job.yaml: " in result.stderr
    text = Path("job.yaml").read_text()
    assert "# keep: 1" in text
    assert ("unfreezeRankRatio" in text) == (kind == "OSFTJob")


def test_what_is_commented_out_is_valid_too(call) -> None:
    call("--yes")
    lines = Path("job.yaml").read_text().splitlines()
    hidden = [line.replace("# ", "", 1) if line.startswith("  ") and line.lstrip().startswith("# ") else line for line in lines]
    assert hidden != lines
    job = parse_job(load_documents("\n".join(hidden))[0])
    assert job.spec.checkpoint.every_minutes == 30
    assert job.spec.run_policy.progress_deadline_seconds == 1800


def test_every_answer_is_an_option(call) -> None:
    options = {
        "kind": "OSFTJob",
        "name": "teach",
        "namespace": "research",
        "model": "hf://org/m@main",
        "dataset": "s3://b/d.jsonl",
        "output": "s3://b/o",
        "device": "gpu",
        "nodes": "2",
        "procs-per-node": "8",
        "epochs": "3",
        "batch-size": "64",
        "max-seq-len": "2048",
        "max-tokens-per-gpu": "4096",
        "learning-rate": "1e-5",
        "unfreeze-rank-ratio": "0.25",
        "queue": "gpus",
    }
    result = call("mine.yaml", *(f"--{key}={value}" for key, value in options.items()))
    assert result.exit_code == 0, result.stderr
    job = written("mine.yaml")
    assert (job.metadata.namespace, job.metadata.name, job.spec.queue_name) == ("research", "teach", "gpus")
    assert (job.spec.nodes, job.spec.procs_per_node, job.spec.training.num_epochs) == (2, 8, 3)
    assert job.spec.training.given() == {
        "num_epochs": 3,
        "unfreeze_rank_ratio": 0.25,
        "effective_batch_size": 64,
        "max_tokens_per_gpu": 4096,
        "max_seq_len": 2048,
        "learning_rate": 1e-5,
    }


def test_it_asks_and_asks_again_after_an_answer_that_cannot_be(call) -> None:
    answers = [
        "osftjob",
        "Bad Name",
        "teach",
        "nowhere",
        "pvc://m/base",
        "",
        "pvc://runs",
        "cpu",
        "0",
        "2",
        "",
        "",
        "",
        "512",
        "",
        "",
        "0.2",
    ]
    result = call(stdin="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.stderr
    assert "'Bad Name': use lower-case letters" in result.stderr
    assert "'nowhere' is not a URI" in result.stderr
    assert "0: use a number from 1 to 999" in result.stderr
    job = written()
    assert (job.kind, job.metadata.name, job.spec.nodes, job.spec.device) == ("OSFTJob", "teach", 2, "cpu")
    assert job.spec.training.given()["max_seq_len"] == 512


def test_tokens_are_never_fewer_than_the_longest_sample(call) -> None:
    call("--yes", "--max-seq-len", "32768")
    assert written().spec.training.given()["max_tokens_per_gpu"] == 32768


def test_nothing_is_overwritten(call) -> None:
    Path("job.yaml").write_text("mine")
    result = call("--yes")
    assert result.exit_code == 2
    assert "job.yaml exists and is not overwritten; name another file" in result.stderr
    assert Path("job.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--name", "Teach"), "--name: 'Teach': use lower-case letters"),
        (("--model", "ftp://x"), "--model: 'ftp://x' is not a URI"),
        (("--nodes", "0"), "--nodes: 0: use a number from 1 to 999"),
        (
            ("--max-seq-len", "9000", "--max-tokens-per-gpu", "10"),
            "spec.training.maxTokensPerGpu: 10 is less than maxSeqLen (9000)",
        ),
        (("--output", "hf://org/m"), "spec.output.uri"),
    ],
)
def test_an_answer_that_is_not_valid_leaves_no_file(call, option: tuple[str, ...], said: str) -> None:
    result = call("--yes", *option)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("job.yaml").exists()


def test_a_folder_that_is_not_there_is_told(call) -> None:
    assert "no/such/job.yaml cannot be written" in call("no/such/job.yaml", "--yes").stderr


@pytest.mark.parametrize(
    ("value", "text"), [("on", '"on"'), ("y", '"y"'), ("teach", "teach"), ("12", '"12"'), (2e-05, "2e-05"), (0.3, "0.3")]
)
def test_values_are_quoted_where_yaml_would_read_something_else(value: object, text: str) -> None:
    assert scalar(value) == text  # type: ignore[arg-type]
