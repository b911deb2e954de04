"""`kubetune validate` by its own parser: what it reads, its streams and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kubetune.cli.app import kubetune

GOOD = """\
apiVersion: kubetune.dev/v1alpha1
kind: SFTJob
metadata: {name: a}
spec: {model: {uri: pvc://m/m}, dataset: {uri: pvc://d/d.jsonl}, output: {uri: pvc://o}}
"""
BAD = GOOD.replace("spec: {", "spec: {nodes: 0, ")
OTHER = "apiVersion: v1\nkind: ConfigMap\n"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(kubetune, ["validate", *arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def write(file: str, text: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text)


def test_a_folder_is_searched_for_yaml_and_json_and_hidden_folders_are_not(call) -> None:
    write("jobs/b/two.yml", GOOD)
    write("jobs/a.yaml", GOOD + "---\n" + OTHER)
    write("jobs/c.json", json.dumps({"kind": "Pod"}))
    write("jobs/.git/x.yaml", BAD)
    write("jobs/readme.md", BAD)
    result = call("jobs")
    assert result.exit_code == 0
    assert result.stdout == "jobs/a.yaml: SFTJob default/a is valid\njobs/b/two.yml: SFTJob default/a is valid\n"
    assert result.stderr == "2 jobs are valid; skipped: 1 document of other kinds, 1 file without a job\n"


def test_every_file_is_checked_though_one_is_bad(call) -> None:
    write("bad.yaml", BAD)
    write("good.yaml", GOOD)
    result = call("bad.yaml", "missing.yaml", "good.yaml")
    assert result.exit_code == 2
    assert "bad.yaml:4: spec.nodes: 0 is less than 1; use at least 1" in result.stderr
    assert "missing.yaml: file: does not exist; check the path" in result.stderr
    assert "good.yaml: SFTJob default/a is valid" in result.stdout


def test_quiet_says_errors_alone(call) -> None:
    write("good.yaml", GOOD)
    result = call("-q", "good.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    write("bad.yaml", BAD)
    assert len(call("-q", "bad.yaml", "good.yaml").stderr.splitlines()) == 1


@pytest.mark.parametrize("empty", ["folder", "kinds"])
def test_nothing_to_check_is_an_error_unless_it_may_be(call, empty: str) -> None:
    Path("jobs").mkdir()
    if empty == "kinds":
        write("jobs/other.yaml", OTHER + "metadata: {name: SFTJob}\n")
    result = call("jobs")
    assert result.exit_code == 2
    assert "no SFTJob or OSFTJob in jobs" in result.stderr
    assert "--allow-empty" in result.stderr
    assert ("ConfigMap" in result.stderr) == (empty == "kinds")
    assert call("--allow-empty", "jobs").exit_code == 0


@pytest.mark.parametrize("output", ["json", "sarif", "github"])
def test_programs_get_one_document_on_standard_output(call, output: str) -> None:
    result = call("-", "-o", output, stdin=BAD)
    assert result.exit_code == 2
    if output == "github":
        assert result.stdout == "::error file=stdin,line=4,title=SFTJob a::spec.nodes: 0 is less than 1; use at least 1\n"
    else:
        assert json.loads(result.stdout)
    assert result.stderr == "0 jobs are valid, 1 is not\n"


def test_a_file_that_is_no_text_is_told_by_name(call) -> None:
    Path("job.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "job.yaml: file: cannot be read" in call("job.yaml").stderr
