"""The commands for jobs on a cluster, over jobs in memory; tests/cluster has them on a real one."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from fake_jobs import FakeJobs, attempt, job, pod

from kubetune import Client
from kubetune.cli.app import kubetune
from kubetune.cluster import ClusterError

DONE = {"uri": "pvc://runs/hf-9", "step": 9, "bytes": 9, "kind": "hf", "verified": True}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    """What every command finds."""
    jobs = FakeJobs(
        job("teach", "OSFTJob", "Running", attempts=[attempt(1, kind="osft")], progress={"step": 3, "totalSteps": 9, "loss": 1.5}),
        job(
            "old",
            phase="Failed",
            attempts=[attempt(1, "CudaOOM", name="old")],
            checkpoints=[DONE | {"kind": "full-state", "step": 6}],
        ),
        job("good", phase="Succeeded", finalCheckpoint=DONE),
    )
    monkeypatch.setattr("kubetune.cli.connecting.Client", lambda *_, **__: Client(jobs=jobs))
    monkeypatch.setattr("kubetune.client.waiting.pause", lambda _: None)
    return jobs


def call(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(kubetune, list(arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_get_prints_a_table_as_kubectl_does(there: FakeJobs):
    lines = call("get").stdout.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "PHASE", "PROGRESS", "LOSS", "ETA", "NODES", "RESTARTS", "AGE"]
    assert lines[3].split()[:6] == ["teach", "OSFTJob", "Running", "33%", "(3/9)", "1.5"]
    assert "pvc://runs/hf-9" in call("get", "-o", "wide").stdout
    assert call("get", "sftjobs", "-A").stdout.splitlines()[0].startswith("NAMESPACE")


def test_get_of_one_job_sketches_its_loss(there: FakeJobs):
    there.jobs["OSFTJob", "ml", "teach"]["status"]["progress"]["losses"] = [4.0, 2.5, 1.5]
    assert call("get", "teach").stdout.splitlines()[2:] == ["", "Loss   █▄▁ 4 to 1.5"]
    assert "█▄▁" in call("get", "-o", "wide").stdout
    assert "█" not in call("get").stdout + call("get", "teach", "-o", "name").stdout


def test_get_prints_what_programs_read(there: FakeJobs):
    assert json.loads(call("get", "teach", "-o", "json").stdout)["metadata"]["name"] == "teach"
    assert [item["metadata"]["name"] for item in yaml.safe_load(call("get", "-o", "yaml").stdout)["items"]] == [
        "good",
        "old",
        "teach",
    ]
    assert call("get", "old", "osftj/teach", "-o", "name").stdout == "sftjob.kubetune.dev/old\nosftjob.kubetune.dev/teach\n"


def test_get_of_nothing_says_so_and_of_a_wrong_name_names_the_nearest(there: FakeJobs):
    wrong = call("get", "teech")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "did you mean osftjob/teach?" in wrong.stderr
    assert "name one with -n" in call("get", "teach", "-A").stderr
    there.jobs.clear()
    nothing = call("get")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "There is no job in namespace ml." in nothing.stderr


def test_logs_are_of_the_master_or_of_all_with_labels(there: FakeJobs):
    there.jobs["SFTJob", "ml", "teach"] = job("teach", phase="Running", attempts=[attempt(1)])
    del there.jobs["OSFTJob", "ml", "teach"]
    there.pod_list = [pod(1, 0), pod(1, 1)]
    there.lines = {"teach-sft-1-master-0": ["step 1"], "teach-sft-1-worker-0": ["I follow"]}
    assert call("logs", "teach").stdout == "step 1\n"
    assert call("logs", "teach", "--rank", "1").stdout == "I follow\n"
    assert call("logs", "teach", "--all").stdout == "[0] step 1\n[1] I follow\n"
    assert call("logs", "teach", "--all", "--rank", "1").exit_code == 2
    assert "there is no rank 5" in call("logs", "teach", "--rank", "5").stderr


def test_logs_of_pods_that_are_gone_are_what_the_status_kept(there: FakeJobs):
    there.jobs["SFTJob", "ml", "old"]["status"]["failure"] = {
        "class": "CudaOOM",
        "reason": "R",
        "message": "m",
        "logTail": "the root error",
    }
    done = call("logs", "old")
    assert (done.exit_code, done.stdout) == (0, "the root error\n")
    assert "pods of attempt 1 of sftjob/old are gone" in done.stderr


def test_suspend_resume_retry_delete_say_what_comes_next(there: FakeJobs):
    assert "kubetune resume osftjob/teach" in call("suspend", "teach").stdout
    assert call("resume", "teach").stdout == "osftjob/teach goes on\n"
    assert call("resume", "teach").stdout == "osftjob/teach was not suspended (Running)\n"
    assert "sftjob/old is tried once more, from step 6" in call("retry", "old").stdout
    refused = call("retry", "good")
    assert refused.exit_code == 2
    assert "resumeFrom.jobRef" in refused.stderr
    assert "what it wrote stays in pvc://runs" in call("delete", "good", "old").stdout
    assert list(there.jobs) == [("OSFTJob", "ml", "teach")]


def test_submit_says_whether_the_job_is_new(there: FakeJobs, tmp_path: Path):
    file = tmp_path / "job.yaml"
    document = {key: value for key, value in job("new").items() if key != "status"} | {"metadata": {"name": "new"}}
    file.write_text(yaml.safe_dump(document))
    assert call("submit", str(file)).stdout == "sftjob/new submitted to namespace ml\n"
    there.jobs["SFTJob", "ml", "new"]["status"] = {"phase": "Running", "observedGeneration": 1}
    assert call("submit", str(file)).stdout == "sftjob/new was there already (Running)\n"
    assert call("submit", str(file), "-o", "name").stdout == "sftjob.kubetune.dev/new\n"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"phase": "Succeeded", "finalCheckpoint": DONE}, 0),
        (
            {
                "phase": "Failed",
                "failure": {"class": "CudaOOM", "reason": "R", "message": "GPU 0 is full", "logTail": "root error"},
            },
            1,
        ),
        ({"phase": "Failed", "failure": {"class": "DataError", "reason": "R", "message": "row 3 is no JSON"}}, 2),
    ],
)
def test_watched_to_its_end_the_exit_code_says_how_it_ended(there: FakeJobs, tmp_path: Path, end, code: int):
    file = tmp_path / "job.yaml"
    file.write_text(
        yaml.safe_dump({key: value for key, value in job("new").items() if key != "status"} | {"metadata": {"name": "new"}})
    )
    call("submit", str(file))
    there.script = [lambda stored: stored.update(status={"phase": "Running"}), lambda stored: stored.update(status=end)]
    there.jobs["SFTJob", "ml", "new"]["status"] = {"phase": "Running"}
    done = call("submit", str(file), "--watch", "-o", "json")
    assert done.exit_code == code, done.stderr
    assert json.loads(done.stdout)["status"]["phase"] == end["phase"]
    if code:
        assert end["failure"]["message"] in done.stderr
        assert "kubetune retry sftjob/new" in done.stderr


def test_ctrl_c_leaves_the_job_alone(there: FakeJobs, tmp_path: Path):
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "job.yaml"
    file.write_text(
        yaml.safe_dump({key: value for key, value in job("new").items() if key != "status"} | {"metadata": {"name": "new"}})
    )
    call("submit", str(file))
    there.script = [lambda _: None, interrupt]
    done = call("submit", str(file), "--watch")
    assert done.exit_code == 130
    assert "The job goes on; follow it: kubetune logs -f sftjob/new" in done.stderr


def test_what_is_to_be_typed_next_names_the_namespace_that_was_said(there: FakeJobs, tmp_path: Path):
    assert "kubetune logs -f sftjob/old`" in call("retry", "old").stdout
    assert "kubetune resume osftjob/teach -n ml`" in call("suspend", "teach", "-n", "ml").stdout
    file = tmp_path / "job.yaml"
    document = {key: value for key, value in job("new").items() if key != "status"}
    file.write_text(yaml.safe_dump(document | {"metadata": {"name": "new", "namespace": "other"}}))
    assert "kubetune logs -f sftjob/new -n other" in call("submit", str(file)).stderr


def test_an_invalid_file_names_field_value_and_remedy(there: FakeJobs, tmp_path: Path):
    there.refusal = ClusterError("is invalid", status=422)
    file = tmp_path / "job.yaml"
    document = job("new")
    file.write_text(yaml.safe_dump(document | {"metadata": {"name": "new"}, "spec": document["spec"] | {"nodes": 0}}))
    done = call("submit", str(file))
    assert done.exit_code == 2
    assert f"{file}: spec.nodes: 0 is less than 1; use at least 1" in done.stderr


def test_top_into_a_pipe_is_one_table_with_the_sums_and_what_runs_first(there: FakeJobs):
    lines = [line for line in call("top").stdout.splitlines() if line.strip()]
    assert "1 Running, 1 Failed, 1 Succeeded · 1 node at work" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ["teach", "old", "good"]


def test_top_goes_on_while_the_cluster_is_away(there: FakeJobs, monkeypatch: pytest.MonkeyPatch):
    from rich.console import Console

    from kubetune.cli.top import look, renewed

    client = Client(jobs=there)
    rows = look(client, all_namespaces=False)

    def away(*_: object) -> None:
        raise ClusterError("connection refused")

    monkeypatch.setattr(there, "all", away)
    console = Console(width=160, record=True, file=StringIO())
    console.print(renewed(client, rows, all_namespaces=False))
    said = console.export_text()
    assert "the cluster does not answer (connection refused)" in said
    assert "teach" in said


def test_the_embedded_cluster_is_asked_with_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    missing = call("get", "--local")
    assert missing.exit_code == 2
    assert "--state-dir .kubetune does not exist; `kubetune run` makes it" in missing.stderr
    stored = tmp_path / ".kubetune/resources/sftjob/default/teach.json"
    stored.parent.mkdir(parents=True)
    stored.write_text(
        json.dumps(
            job(phase="Succeeded") | {"metadata": {"name": "teach", "namespace": "default", "uid": "u", "resourceVersion": "1"}}
        )
    )
    assert "Succeeded" in call("get", "teach", "--local").stdout
    assert "leave out --kubeconfig" in call("get", "--local", "--context", "x").stderr
    assert call("delete", "teach", "--local").exit_code == 0
    assert not stored.exists()


def test_no_cluster_is_one_line_that_says_what_to_do(tmp_path: Path):
    done = call("get", "--kubeconfig", str(tmp_path / "none"))
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: no cluster:")
    assert "set KUBECONFIG" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_has_examples_and_exit_codes():
    for command in ("submit", "get", "logs", "top", "suspend", "resume", "retry", "delete"):
        said = call(command, "--help").stdout
        assert f"kubetune {command}" in said.split("Examples:")[1]
        assert "130 interrupted" in said
