"""What Prometheus, the kubelet and the log collector get."""

import signal

import pytest
from line import Line
from waiting import until

pytestmark = pytest.mark.cluster


def test_metrics_and_logs_tell_of_a_job(start, plane, namespace):
    one = start("one", f"--namespace={namespace}", f"--lease-namespace={namespace}")
    until(lambda: one.leads, "it leads")
    plane.create_job(namespace, "teach")
    until(lambda: one.metric('kubetune_job_attempts_total{kind="SFTJob"}') == 1, "the attempt is counted")
    text = one.get("/metrics")[1]
    assert one.metric('kubetune_reconcile_seconds_count{kind="SFTJob",result="ok"}') >= 1
    assert one.made == 1
    assert one.metric('kubetune_api_writes_total{code="200",resource="sftjobs/status",verb="patch"}') >= 1
    assert one.metric("kubetune_queue_depth") is not None
    assert 0 <= one.metric("kubetune_sweep_age_seconds") < 300
    assert 0 <= one.metric("kubetune_watch_event_age_seconds") < 300
    assert 'kubetune_jobs{class="",kind="SFTJob",phase="' in text
    assert "process_resident_memory_bytes" in text

    plane.kubectl(
        "patch", "sftjob", "teach", "-n", namespace, "--subresource=status", "--type=merge",
        '-p={"status":{"phase":"Running","progress":{"step":3,"totalSteps":12,"updatedTime":"2026-01-01T00:00:00Z"}}}',
    )  # fmt: skip
    assert one.get("/healthz")[0] == 200
    until(lambda: one.metric('kubetune_job_first_step_seconds_count{kind="SFTJob"}') == 1, "the first step is counted")
    lines = [line for line in one.lines() if line.get("job") == f"SFTJob {namespace}/teach"]
    assert any(line.get("attempt") == 1 and line.get("reason") for line in lines), lines


@pytest.fixture
def line(kubeconfig):
    with Line.to(kubeconfig) as line:
        yield line


def test_liveness_fails_when_the_api_server_stays_away_and_heals_when_it_is_back(
    start, plane, namespace, line, operator_kubeconfig, tmp_path
):
    by_the_line = {"kubeconfig": line.kubeconfig(operator_kubeconfig, tmp_path)}
    one = start("one", f"--namespace={namespace}", f"--lease-namespace={namespace}", "--contact-seconds=8", **by_the_line)
    until(lambda: one.leads, "it leads")
    assert one.get("/healthz") == (200, "ok\n")
    two = start("two", f"--namespace={namespace}", f"--lease-namespace={namespace}", **by_the_line)
    line.cut()
    status, said = until(lambda: (answer := one.get("/healthz"))[0] == 503 and answer, "it is not well")
    assert status == 503
    assert "no answer of the API server" in said
    assert one.get("/readyz")[0] == 503
    assert not one.leads, "a leader that cannot renew has stopped by then"
    two.signal(signal.SIGTERM)
    assert two.wait(60) < 5, "nobody waits for a dead API server"
    line.mend()
    until(lambda: one.get("/healthz")[0] == 200, "it is well again")
    until(lambda: one.leads, "it leads again")
    plane.create_job(namespace, "afterwards")
    until(lambda: plane.children(namespace) == ["afterwards-sft-1"], "and its watches are back")
