import asyncio
import logging
from datetime import timedelta

import pytest
from fake_cluster import NOW, job, success
from operating import CONTROLLER, DEADLINE, Listing, leading, run_until, waiting

from kubetune.cluster import ClusterError
from kubetune.controller.known_jobs import KnownJobs
from kubetune.controller.metrics import Metrics
from kubetune.controller.operate import Operator
from kubetune.controller.operator_settings import OperatorSettings, identity, lease_name
from kubetune.controller.workqueue import Key

OTHER_UID = "22222222-0000-4000-8000-000000000000"


@pytest.mark.parametrize(("namespaces", "found"), [((), {"a", "b"}), (("default",), {"a", "b"}), (("other",), set())])
def test_a_sweep_adds_every_job_of_both_kinds(namespaces, found):
    operator = leading(Listing(job(name="a"), job("OSFTJob", name="b")), namespaces=namespaces)
    assert asyncio.run(operator.sweep())
    assert waiting(operator) == found


def test_a_sweep_goes_on_where_one_kind_cannot_be_listed():
    cluster = Listing(job(name="a"), job("OSFTJob", name="b"))
    cluster.faults["list SFTJob"] = [ClusterError("forbidden")]
    operator = leading(cluster)
    assert not asyncio.run(operator.sweep())
    assert waiting(operator) == {"b"}


def test_the_first_sweep_does_not_wait_for_the_watch_with_what_is_not_over():
    done = job(name="done", uid=OTHER_UID) | {"status": {"phase": "Succeeded", "observedGeneration": 1}}
    operator = leading(Listing(done, job(name="new")))
    asyncio.run(operator.sweep(first=True))
    assert waiting(operator) == {"new"}
    asyncio.run(operator.sweep())
    assert waiting(operator) == {"new", "done"}


def test_one_that_leads_a_moment_after_the_first_sweep_has_its_jobs_without_the_watch():
    cluster = Listing(job(name="a"))
    operator = leading(cluster, selector="team=a")
    operator.leading = False
    asyncio.run(operator.sweep(first=True))
    assert waiting(operator) == set()
    run_until(operator, lambda: len(cluster.children) == 1)
    assert set(cluster.children) == {"a-sft-1"}


def test_the_first_look_is_waited_for_and_no_longer_than_said():
    cluster = Listing(job(name="a"))
    operator = Operator(cluster, OperatorSettings(CONTROLLER))

    async def main() -> None:
        await operator.first_look(0.01)  # nothing looks yet
        running = asyncio.create_task(operator.run())
        await operator.first_look(DEADLINE)
        assert Key("SFTJob", "default", "a") in operator.jobs
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_a_standby_lists_and_remembers_but_has_no_work():
    operator = leading(Listing(job(name="a")))
    operator.leading = False
    asyncio.run(operator.sweep())
    operator.told("SFTJob", job(name="a"), "ADDED")
    operator.notice(Key("SFTJob", "default", "a"))
    assert waiting(operator) == set()
    assert Key("SFTJob", "default", "a") in operator.jobs


def test_the_operator_reconciles_what_the_sweep_finds():
    cluster = Listing(job(name="a"), job("OSFTJob", name="b", uid=OTHER_UID))
    run_until(Operator(cluster, OperatorSettings(CONTROLLER, sweep_seconds=0.01)), lambda: len(cluster.children) == 2)
    assert set(cluster.children) == {"a-sft-1", "b-osft-1"}


def test_one_that_begins_to_lead_takes_up_what_it_knows_without_a_list():
    cluster = Listing(job(name="a"))
    cluster.faults["list SFTJob"] = [ClusterError("not now")] * 1000
    operator = Operator(cluster, OperatorSettings(CONTROLLER))
    operator.told("SFTJob", job(name="a"), None)
    run_until(operator, lambda: len(cluster.children) == 1)
    assert set(cluster.children) == {"a-sft-1"}


def test_what_is_out_of_scope_is_not_reconciled_though_a_child_of_it_is_heard_of():
    cluster = Listing(job(name="theirs"), job("OSFTJob", name="ours", uid=OTHER_UID))
    operator = Operator(cluster, OperatorSettings(CONTROLLER, selector="team=a"))
    operator.told("OSFTJob", cluster.jobs["OSFTJob", "default", "ours"], None)

    async def main() -> None:
        await operator._reconcile(Key("SFTJob", "default", "theirs"))
        await operator._reconcile(Key("OSFTJob", "default", "ours"))

    asyncio.run(main())
    assert set(cluster.children) == {"ours-osft-1"}


def test_a_watch_that_stays_behind_two_lists_is_blind_until_it_tells_something():
    operator = leading(Listing(job(name="a")))
    operator.told("SFTJob", job(name="a"), None)
    asyncio.run(operator.sweep())
    assert operator._pulse().blind is None
    operator._cluster.jobs["SFTJob", "default", "a"]["metadata"]["resourceVersion"] = "2"
    asyncio.run(operator.sweep())
    assert operator._pulse().blind is None, "it may be a moment late"
    assert operator.metrics.registry.get_sample_value("kubetune_watch_blind_seconds") == 0
    asyncio.run(operator.sweep())
    assert operator._pulse().blind is not None
    assert (operator.metrics.registry.get_sample_value("kubetune_watch_blind_seconds") or 0) > 0
    operator.told("SFTJob", operator._cluster.jobs["SFTJob", "default", "a"], "MODIFIED")
    assert operator._pulse().blind is None
    assert operator.metrics.registry.get_sample_value("kubetune_watch_blind_seconds") == 0


def test_a_job_that_left_the_scope_or_the_cluster_is_forgotten():
    operator = leading(Listing())
    operator.told("SFTJob", job(name="a"), None)
    operator.told("SFTJob", job(name="b", uid=OTHER_UID), None)
    operator.told("SFTJob", job(name="b", uid=OTHER_UID), "DELETED")
    assert [seen.key.name for seen in operator.jobs.all()] == ["a"]
    asyncio.run(operator.sweep())
    assert len(operator.jobs) == 0, "its deletion was not told; the list shows it"


def test_good_answers_count_as_contact_and_failures_do_not():
    operator = leading(Listing())
    operator._contact = 0.0
    for status in (None, 401, 429, 500, 503):
        operator.answered(status)
    assert operator._contact == 0.0
    assert any("no answer of the API server" in fault for fault in operator.faults())
    operator.answered(409)
    assert list(operator.faults()) == []


def test_it_is_ready_after_the_first_sweep():
    operator = Operator(Listing(), OperatorSettings(CONTROLLER))
    assert list(operator.unready()) == ["the jobs were not listed yet"]
    run_until(operator, lambda: not list(operator.unready()))


def test_a_transition_is_one_line_with_job_attempt_and_reason(caplog):
    caplog.set_level(logging.INFO)
    operator = leading(Listing())
    first, second = job(name="a"), job(name="a")
    failed = {"phase": "Failed", "attempts": [{"number": 2}], "failure": {"class": "CudaOOM"}}
    operator.told("SFTJob", first, "ADDED")
    operator.told("SFTJob", second | {"status": failed}, "MODIFIED")
    operator.told("SFTJob", second | {"status": failed | {"restarts": 1}}, "MODIFIED")
    said = [(r.job, r.attempt, r.reason) for r in caplog.records if hasattr(r, "job")]
    assert said == [("SFTJob default/a", 0, ""), ("SFTJob default/a", 2, "CudaOOM")]


def test_the_metrics_are_of_the_jobs_that_it_knows():
    known = KnownJobs()
    operator = Operator(Listing(), OperatorSettings(CONTROLLER), jobs=known, metrics=Metrics(known))
    operator.told("SFTJob", job(name="a"), None)
    labels = {"kind": "SFTJob", "phase": "Pending", "class": ""}
    assert operator.metrics.registry.get_sample_value("kubetune_jobs", labels) == 1


def test_a_lease_belongs_to_a_scope_and_an_identity_to_a_process():
    everywhere = OperatorSettings(CONTROLLER, identity="me")
    assert lease_name(everywhere) == "kubetune-controller"
    names = {
        lease_name(OperatorSettings(CONTROLLER, namespaces=n, selector=s))
        for n, s in [(("a", "b"), ""), (("b", "a"), ""), (("a",), ""), ((), "team=a")]
    }
    assert len(names) == 3
    assert identity(everywhere) != identity(everywhere)
    assert identity(everywhere).startswith("me_")


def test_a_job_with_nothing_left_to_do_is_not_looked_at_again_until_it_changes():
    cluster = Listing(job(name="a") | {"status": {"phase": "Succeeded", "observedGeneration": 1}})
    operator = leading(cluster)
    stored = cluster.jobs["SFTJob", "default", "a"]
    operator.told("SFTJob", stored, None)
    asyncio.run(operator.sweep())
    assert waiting(operator) == {"a"}
    operator.queue._waiting.clear()
    for _ in range(2):  # the first brings the status up to date
        asyncio.run(operator._reconcile(Key("SFTJob", "default", "a")))
        operator.told("SFTJob", stored, "MODIFIED")
    asyncio.run(operator.sweep())
    assert waiting(operator) == set()
    cluster.touch(stored)
    asyncio.run(operator.sweep())
    assert waiting(operator) == {"a"}


def test_finished_jobs_wait_for_the_others():
    operator = leading(Listing())
    operator.told("SFTJob", job(name="over") | {"status": {"phase": "Failed"}}, None)
    for name in ("over", "new"):
        operator.notice(Key("SFTJob", "default", name))
    assert sorted(entry.key.name for entry in operator.queue._waiting.values() if entry.background) == ["over"]
    assert len(operator.queue._waiting) == 2


TEACH = Key("SFTJob", "default", "teach")


def quiet(cluster: Listing) -> Operator:
    """It has started an attempt of which the status says nothing yet."""
    operator = leading(cluster)
    operator.told("SFTJob", cluster.job, "ADDED")
    asyncio.run(operator._reconcile(TEACH))
    assert set(cluster.children) == {"teach-sft-1"}
    return operator


def test_that_the_pods_of_a_quiet_job_run_can_wait_and_their_end_cannot():
    operator = quiet(Listing(job()))

    async def main() -> None:
        operator.child_moved(TEACH, runs=True)
        assert waiting(operator) == set()
        assert operator.queue._timers[TEACH].when() <= asyncio.get_running_loop().time() + CONTROLLER.quiet_pods_seconds
        operator.child_moved(TEACH, runs=False)
        assert waiting(operator) == {"teach"}

    asyncio.run(main())


def test_once_the_status_tells_of_the_attempt_all_is_news():
    cluster = Listing(job())
    operator = quiet(cluster)
    cluster.run_pods(1)
    asyncio.run(operator._reconcile(TEACH))  # the fake's pods are long past quiet_pods_seconds
    assert cluster.status["phase"] == "Running"
    operator.child_moved(TEACH, runs=True)
    assert waiting(operator) == {"teach"}


def test_what_happens_to_the_child_of_a_job_that_is_over_is_no_news_until_somebody_asks_for_more():
    cluster = Listing(job())
    operator = quiet(cluster)
    (master,) = cluster.run_pods(1)
    cluster.end_pod(master, 0, success())
    asyncio.run(operator._reconcile(TEACH))
    operator.told("SFTJob", cluster.job, "MODIFIED")
    assert operator.jobs.over(TEACH)
    operator.child_moved(TEACH, runs=False)
    assert waiting(operator) == set()
    cluster.change_spec(runPolicy={"ttlSecondsAfterFinished": 1})
    assert operator.told("SFTJob", cluster.job, "MODIFIED")
    operator.child_moved(TEACH, runs=False)
    assert waiting(operator) == {"teach"}


def test_a_job_that_was_created_while_the_operator_leads_is_not_read_again():
    cluster = Listing(job())
    cluster.faults["get_job"] = [ClusterError("it was read")]
    operator = leading(cluster)
    operator._newcomers.lead(NOW - timedelta(minutes=1))
    operator.told("SFTJob", cluster.job, "ADDED")
    asyncio.run(operator._reconcile(TEACH))
    assert cluster.calls == [("create", "teach-sft-1")]
    assert cluster.faults["get_job"]


def test_a_quiet_job_without_pods_is_glanced_at_and_anything_that_is_heard_of_it_is_looked_into():
    cluster = Listing(job())
    operator = quiet(cluster)
    cluster.faults["get_job"] = [ClusterError("it was read")] * 2
    assert asyncio.run(operator._reconcile(TEACH)) == CONTROLLER.poll_seconds
    assert len(cluster.faults["get_job"]) == 2
    operator.notice(TEACH)
    asyncio.run(operator._reconcile(TEACH))
    assert len(cluster.faults["get_job"]) == 1


def test_the_more_jobs_are_live_the_seldomer_each_is_looked_at():
    cluster = Listing(job())
    operator = quiet(cluster)
    for number in range(999):
        name = f"other-{number}"
        operator.told("SFTJob", job(name=name, uid=name), "ADDED")
    assert asyncio.run(operator._reconcile(TEACH)) == 100, "ten looks a second"
    cluster.run_pods(1)
    operator.notice(TEACH)
    assert asyncio.run(operator._reconcile(TEACH)) == 100
    for number in range(900):
        operator.told("SFTJob", job(name="other", uid=f"other-{number}"), "DELETED")
    assert asyncio.run(operator._reconcile(TEACH)) == CONTROLLER.poll_seconds


@pytest.mark.parametrize(
    ("live", "poll", "quiet_pods"), [(0, 30, 10), (100, 30, 10), (200, 30, 20), (1000, 100, 100), (10_000, 1000, 120)]
)
def test_ten_looks_a_second_are_shared_by_all_live_jobs(live, poll, quiet_pods):
    settings = CONTROLLER.among(live)
    assert (settings.poll_seconds, settings.quiet_pods_seconds) == (poll, quiet_pods)
    assert settings.missing_seconds == CONTROLLER.missing_seconds


def test_a_quiet_job_whose_master_is_there_is_looked_at():
    cluster = Listing(job())
    operator = quiet(cluster)
    cluster.run_pods(1)
    asyncio.run(operator._reconcile(TEACH))
    assert cluster.status["phase"] == "Running"


def test_a_glance_that_fails_is_a_look():
    cluster = Listing(job())
    operator = quiet(cluster)
    cluster.faults["pods"] = [ClusterError("not now")] * 2
    assert asyncio.run(operator._reconcile(TEACH)) == CONTROLLER.error_seconds
    assert cluster.faults["pods"] == []


def test_a_quiet_job_that_reports_is_told_to_run_at_once():
    cluster = Listing(job())
    operator = quiet(cluster)
    cluster.run_pods(1)
    cluster.report(progress={"step": 1, "totalSteps": 30})
    assert operator.told("SFTJob", cluster.job, "MODIFIED")
    operator.notice(TEACH)
    asyncio.run(operator._reconcile(TEACH))
    assert cluster.status["phase"] == "Running"
    cluster.report(progress={"step": 2, "totalSteps": 30})
    assert not operator.told("SFTJob", cluster.job, "MODIFIED"), "its steps are no news any more"
