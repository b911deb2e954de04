"""Every command for jobs on a cluster, on a real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from case import SMALLEST, edited
from click.testing import CliRunner, Result
from operator_process import OperatorProcess
from real_cluster import FOR_EVER, Job, Namespace, checkpoint, failed, now, reached_end
from waiting import until

from e2e.cluster.tokens import account_kubeconfig
from kubetune.cli.app import kubetune

pytestmark = pytest.mark.cluster


@pytest.fixture
def call(namespace: Namespace):
    def call(*arguments: str, kubeconfig: Path | None = None) -> Result:
        where = ["--kubeconfig", str(kubeconfig or namespace.kubeconfig), "-n", namespace.name]
        result = CliRunner().invoke(kubetune, [*arguments, *where])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Of a job whose pods run until the test ends them."""
    document = edited(SMALLEST["OSFTJob"], {"metadata": {"name": "teach"}, "spec.template": {"annotations": FOR_EVER}})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(document))
    return str(tmp_path / "job.yaml")


def test_a_job_s_life_by_commands(call, file: str, namespace: Namespace, operator: OperatorProcess):
    assert call("submit", file).stdout == f"osftjob/teach submitted to namespace {namespace.name}\n"
    there = Job(namespace, "OSFTJob", "teach")
    there.wait_attempt(1)
    again = call("submit", file)
    assert "was there already" in again.stdout, again.stderr
    there.report(progress={"step": 7, "totalSteps": 10, "loss": 1.5, "updatedTime": now()}, checkpoints=[checkpoint(6)])
    assert "Running" in call("get").stdout
    assert "70% (7/10)" in call("get", "osftjob/teach", "-o", "wide").stdout
    assert json.loads(call("get", "teach", "-o", "json").stdout)["status"]["progress"]["step"] == 7
    assert yaml.safe_load(call("get", "-o", "yaml").stdout)["items"][0]["kind"] == "OSFTJob"
    assert call("get", "-o", "name").stdout == "osftjob.kubetune.dev/teach\n"
    assert "1 Running" in call("top").stdout
    logs = call("logs", "teach")
    assert logs.exit_code == 2, "kwok plays the kubelet, and keeps no logs"
    assert "teach-osft-1-master-0" in logs.stderr

    assert "kubetune resume osftjob/teach" in call("suspend", "teach").stdout
    there.wait("Suspended")
    assert call("resume", "teach").stdout == "osftjob/teach goes on\n"
    there.wait_attempt(2)
    there.end(2, failed("DataError", "row 3 is no JSON", 2, step=7, code=2), code=2)
    there.wait("Failed")
    gone = call("submit", file, "--watch")
    assert gone.exit_code == 2
    assert "row 3 is no JSON" in gone.stderr + gone.stdout
    assert "from step 6" in call("retry", "teach").stdout
    there.wait_attempt(3)
    there.end(3, reached_end(3))
    there.wait("Succeeded")
    told = call("report", "teach", "-o", str(Path(file).with_name("teach.html")))
    assert told.exit_code == 0, told.stderr
    assert f"Curves, stages and the ledger are in pvc://runs/{namespace.name}-teach-" in told.stderr
    assert "<h1>teach</h1>" in Path(file).with_name("teach.html").read_text()
    assert "full-state" in call("checkpoints", "osftjob/teach").stdout
    assert call("checkpoints", "teach", "--verify").exit_code == 2
    done = call("submit", file, "--watch", "-o", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["status"]["phase"] == "Succeeded"
    assert "deleted" in call("delete", "teach").stdout
    until(lambda: not there.exists, "it is gone")


def test_errors_are_one_line_that_says_what_to_do(call, file: str, namespace: Namespace, tmp_path: Path):
    missing = call("get", "teach")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert f"there is no teach in namespace {namespace.name}; there is no job in namespace" in missing.stderr
    nobody = account_kubeconfig(namespace.kubeconfig, namespace.name, "default", tmp_path)
    forbidden = call("submit", file, kubeconfig=nobody)
    assert forbidden.exit_code == 2
    assert "cannot create resource" in forbidden.stderr
    assert len(forbidden.stderr.splitlines()) == 1
    away = yaml.safe_load(namespace.kubeconfig.read_text())
    for cluster in away["clusters"]:
        cluster["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "away").write_text(yaml.safe_dump(away))
    nowhere = call("get", kubeconfig=tmp_path / "away")
    assert nowhere.exit_code == 2
    assert "the cluster does not answer" in nowhere.stderr
    assert len(nowhere.stderr.splitlines()) == 1
    bad = yaml.safe_load(Path(file).read_text())
    bad["spec"]["nodess"] = 2
    Path(file).write_text(yaml.safe_dump(bad))
    assert "spec.nodess: unknown field; did you mean nodes?" in call("submit", file).stderr
