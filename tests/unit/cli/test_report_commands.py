"""`kubetune report` and `kubetune checkpoints` on the recorded run, as a user types them."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from fake_jobs import FakeJobs
from fake_jobs import job as fake_job

from kubetune.cli.app import kubetune
from kubetune_trainer.checkpoints.ledger import Ledger
from kubetune_trainer.checkpoints.manifest import Manifest, seal_of, write_manifest

RECORDED = Path(__file__).parents[1] / "report" / "recorded"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    return Path(shutil.copytree(RECORDED, tmp_path / ".kubetune")).relative_to(tmp_path)


@pytest.fixture
def directory(state):
    return next((state / "volumes" / "runs").iterdir())


def run(*arguments, code=0, text=None):
    result = CliRunner().invoke(kubetune, [str(argument) for argument in arguments], input=text)
    assert result.exit_code == code, result.output
    return result


def test_a_page_of_a_job_by_its_name(state):
    said = run("report", "teach").stderr
    assert said.startswith("teach-report.html (")
    assert "Succeeded: reached step 60 of 60" in said
    assert "Loss █" in said
    assert "<h1>teach</h1>" in Path("teach-report.html").read_text()


@pytest.mark.parametrize("name", ["osftjob/teach", "OSFTJob/teach", "osft/teach", "osftjobs/teach"])
def test_the_kind_may_be_said(state, name):
    assert run("report", name, "-o", "-").stdout.startswith("<!DOCTYPE html>")


def test_a_page_of_the_file_that_was_run(state):
    job = yaml.safe_load((state / "resources/osftjob/default/teach.json").read_text())
    Path("job.yaml").write_text(yaml.safe_dump({**job, "metadata": {"name": "teach"}, "status": None}))
    assert "OSFTJob in namespace default" in run("report", "job.yaml", "-o", "-").stdout


def test_a_resource_as_kubectl_prints_it_with_and_without_its_directory(state, directory):
    job = (state / "resources/osftjob/default/teach.json").read_text()
    alone = run("report", "-", "-o", "-", text=job).stdout
    assert "Loss by step" not in alone
    assert "Checkpoints" in alone
    assert "Loss by step" in run("report", "-", "-o", "-", "--output-dir", directory, text=job).stdout


def test_a_page_of_a_directory(directory):
    run("report", directory, "-o", "x.html")
    assert "by its directory alone" in Path("x.html").read_text()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nope", "there is no job 'nope' in namespace default of .kubetune, and no such directory; there is: osftjob/teach"),
        (".kubetune", "is a state directory; name one of its jobs: osftjob/teach"),
        (".kubetune/volumes/runs", "holds no run; did you mean .kubetune/volumes/runs/default-teach-"),
        (".kubetune/pods", "no job '.kubetune/pods'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(state, target, said):
    assert said in run("report", target, code=2).stderr


def test_a_page_that_cannot_be_written(state):
    assert "--output" in run("report", "teach", "-o", ".kubetune/events.jsonl/x", code=2).stderr


def test_the_ledger_as_a_table(state):
    lines = run("checkpoints", "teach").stdout.splitlines()
    assert lines[0].split() == ["STEP", "KIND", "STATE", "SIZE", "ATTEMPT", "VERIFIED", "(UTC)", "WHERE"]
    assert any("quarantined" in line and "SHA-256" in line for line in lines)
    assert any("hf" in line and "verified (last good)" in line for line in lines)


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_ledger_as_a_document(directory, output):
    told = yaml.safe_load(run("checkpoints", directory, "-o", output).stdout)
    ledger = [json.loads(line) for line in (directory / "kubetune-ledger.jsonl").read_text().splitlines()]
    assert [each["path"] for each in told] == [line["checkpoint"] for line in ledger if line["event"] == "saved"]
    assert [each["step"] for each in told if each["lastGood"]] == [54, 60]
    assert [each["resumedBy"] for each in told if each["resumedBy"]] == [[2], [3]]


def test_files_that_are_missing_are_named(state):
    result = run("checkpoints", "teach", "--verify", code=1)
    assert "model.safetensors is missing" in result.stderr
    assert "damaged (last good)" in result.stdout


def test_nothing_damaged_is_copied(state):
    assert "model.safetensors is missing" in run("checkpoints", "teach", "--copy-out", "last", "model", code=1).stderr
    assert not Path("model").exists()


def test_a_copy_of_a_step_that_is_not_there(state):
    assert "what there is: full-state of step 48" in run("checkpoints", "teach", "--copy-out", "7", "model", code=1).stderr


def test_an_output_in_a_store_has_no_files_here(state):
    file = state / "resources/osftjob/default/teach.json"
    job = json.loads(file.read_text())
    job["spec"]["output"] = {"uri": "s3://bucket/runs"}
    file.write_text(json.dumps(job))
    assert "verified" in run("checkpoints", "teach").stdout
    assert "the output is an object store" in run("checkpoints", "teach", "--verify", code=2).stderr


def test_a_job_that_is_known_by_its_status_alone(state):
    job = (state / "resources/osftjob/default/teach.json").read_text()
    assert "pvc://runs/" in run("checkpoints", "-", text=job).stdout
    said = run("checkpoints", "-", "--verify", text=job, code=2).stderr
    assert "none of this job is here; they are in pvc://runs/default-teach-" in said
    assert "name it by --output-dir" in said


@pytest.fixture
def cluster(state, monkeypatch):
    """That has the recorded job in the namespace `ml`, and another one of the name `other`."""
    there = json.loads((state / "resources/osftjob/default/teach.json").read_text())
    there["metadata"]["namespace"] = "ml"
    there["status"]["progress"]["losses"] = [6.0, 3.0, 1.5]
    jobs = FakeJobs(there, fake_job("other", phase="Pending"))
    monkeypatch.setattr("kubetune.client.client.remote_jobs", lambda *_: jobs)
    return jobs


def test_a_job_that_was_not_run_here_is_asked_for_on_the_cluster(cluster):
    said = run("report", "other").stderr
    assert "Pending" in said
    assert "Curves, stages and the ledger are in pvc://runs/ml-other-" in said
    assert "SFTJob in namespace ml" in Path("other-report.html").read_text()
    assert run("checkpoints", "sftjob/other").stdout == "No checkpoint was told of yet.\n"


def test_a_cluster_that_is_named_is_asked_before_what_is_here(cluster, directory):
    said = run("report", "teach", "-n", "ml", "--context", "prod").stderr
    assert "Loss █▃▁ 6 to 1.5" in said
    assert "Made of the status alone" in said
    assert "pvc://runs/" in run("checkpoints", "teach", "-n", "ml", "--context", "prod").stdout
    refused = run("checkpoints", "teach", "-n", "ml", "--context", "prod", "--copy-out", "last", "x", code=2).stderr
    assert "name it by --output-dir" in refused
    whole = run("report", "teach", "-n", "ml", "--context", "prod", "-o", "whole.html", "--output-dir", directory).stderr
    assert "Made of the status alone" not in whole
    assert "Loss by step" in Path("whole.html").read_text()


def test_a_name_that_neither_has_is_told_of_both(cluster):
    said = run("report", "othr", code=2).stderr
    assert "there is no job 'othr' in namespace default of .kubetune" in said
    assert "On a cluster: there is no othr in namespace ml; did you mean sftjob/other?" in said
    assert "On a cluster" not in run("report", "othr", "--local", code=2).stderr


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """A directory whose one checkpoint is there, file by file."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "runs" / "hf_format" / "samples_8"
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"weights")
    plain = Manifest(
        kind="hf", step=4, world_size=1, attempt=1, algorithm="sft", backend="mini-trainer", time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    seal = seal_of(write_manifest(place, plain))
    Ledger(tmp_path / "runs").add("saved", place, kind="hf", step=4, bytes=7, manifest_sha256=seal)
    return Path("runs")


def test_what_is_whole_is_said_to_be_and_copied(whole):
    assert "verified, read again" in run("checkpoints", whole, "--verify").stdout
    said = run("checkpoints", whole, "--copy-out", "last", "model").stdout
    assert said == "model: hf of step 4, 7 bytes, read again after the copy\n"
    assert Path("model/model.safetensors").read_bytes() == b"weights"
    assert "is there already" in run("checkpoints", whole, "--copy-out", "4", "model", code=1).stderr


def test_a_flipped_bit_is_named(whole):
    (whole / "hf_format/samples_8/model.safetensors").write_bytes(b"weighty")
    result = run("checkpoints", whole, "--verify", "-o", "json", code=1)
    assert json.loads(result.stdout)[0]["problems"] == ["model.safetensors has changed since it was verified (SHA-256)"]
    assert "hf_format/samples_8: model.safetensors has changed" in result.stderr
