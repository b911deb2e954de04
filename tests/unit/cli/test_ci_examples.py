"""The pre-commit hook and the GitHub workflow: what they run, run here."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kubetune.cli.app import kubetune

ROOT = Path(__file__).parents[3]
GOOD = ROOT / "examples" / "minimal" / "sft.yaml"


def run(command: str) -> int:
    words = shlex.split(command)
    assert words[0] == "kubetune"
    return CliRunner().invoke(kubetune, words[1:]).exit_code


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "good.yaml").write_text(GOOD.read_text())
    return tmp_path / "jobs"


def test_the_hook_passes_changed_files_without_a_job_and_stops_a_bad_one(jobs: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language"} <= set(hook)  # pre-commit.com, "Creating new hooks"
    assert [bool(re.search(hook["files"], file)) for file in ("jobs/a.yaml", "b.yml", "c.json", "d.py")] == [
        True,
        True,
        True,
        False,
    ]
    (jobs / "other.yaml").write_text("kind: ConfigMap\n")
    assert run(f"{hook['entry']} jobs/other.yaml") == 0
    assert run(f"{hook['entry']} jobs/good.yaml jobs/other.yaml") == 0
    (jobs / "bad.yaml").write_text(GOOD.read_text().replace("kind: SFTJob", "kind: SFTJob\nspeck: {}"))
    assert run(f"{hook['entry']} jobs/bad.yaml") == 2


def test_the_example_names_the_hook() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    config = yaml.safe_load((ROOT / "examples" / "ci" / "pre-commit-config.yaml").read_text())
    assert [each["id"] for each in config["repos"][0]["hooks"]] == [hook["id"]]


@pytest.mark.parametrize(("bad", "code"), [(False, 0), (True, 2)])
def test_the_workflow_runs_commands_that_are_there(jobs: Path, bad: bool, code: int) -> None:
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "validate-jobs.yaml").read_text())
    steps = workflow["jobs"]["validate"]["steps"]
    if bad:
        (jobs / "bad.yaml").write_text(GOOD.read_text().replace("kind: SFTJob", "kind: SFTJob\nspeck: {}"))
    commands = [step["run"].split(" > ")[0] for step in steps if step.get("run", "").startswith("kubetune ")]
    assert len(commands) == 2
    assert [run(command) for command in commands] == [code, code]
    report = next(step["run"].split(" > ")[1] for step in steps if " > " in step.get("run", ""))
    assert report in [step.get("with", {}).get("sarif_file") for step in steps]


ONLY = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"kubernetes", "kubeflow", "kopf", "rich", "psutil", "tenacity", "prometheus_client", "torch"}:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
sys.argv = ["kubetune", *sys.argv[1:]]
from kubetune.cli import main
main()
"""


def test_validate_needs_no_more_than_hook_and_workflow_install() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["additional_dependencies"] == ["click>=8.1"]
    done = subprocess.run([sys.executable, "-c", ONLY, "validate", str(GOOD)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{GOOD}: SFTJob default/sft-minimal is valid\n"), done.stderr
