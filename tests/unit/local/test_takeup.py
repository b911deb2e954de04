from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kubetune.api import parse_job
from kubetune.local.takeup import AlreadySucceededError, SpecChangedError, interrupted, new_job, take_up, with_suspend

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(**spec: Any) -> dict[str, Any]:
    base = {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "pvc://o"}, "device": "cpu"}
    return {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "a"}, "spec": base | spec}


def stored(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return new_job(document(**(spec or {})), NOW) | {"status": status}


def taken(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any] | None:
    return take_up(before, after, parse_job(after))


def test_a_new_job_gets_a_uid_of_its_own_and_no_status() -> None:
    given = document() | {"status": {"phase": "Succeeded"}}
    one, two = new_job(given, NOW), new_job(given, NOW)
    assert one["metadata"]["uid"] != two["metadata"]["uid"]
    assert (one["metadata"]["namespace"], one["metadata"]["generation"]) == ("default", 1)
    assert "status" not in one


def test_an_unfinished_job_goes_on_as_it_is() -> None:
    before = stored(phase="Running", attempts=[{"number": 1}])
    assert taken(before, document()) == before


def test_what_may_change_is_taken_over_as_a_new_generation() -> None:
    after = taken(stored(phase="Running"), document(runPolicy={"backoffLimit": 9}))
    assert after["spec"]["runPolicy"] == {"backoffLimit": 9}
    assert after["metadata"]["generation"] == 2


def test_a_failed_job_is_opened_again_with_all_that_it_has() -> None:
    before = stored(
        phase="Failed",
        restarts=3,
        failure={"class": "HostOOM"},
        completionTime="T",
        startTime="T",
        conditions=[{"type": "Failed"}],
        attempts=[{"number": 4}],
        checkpoints=[{"uri": "x"}],
        specHash="h",
    )
    after = taken(before, document())
    assert after["status"] == {"restarts": 0, "attempts": [{"number": 4}], "checkpoints": [{"uri": "x"}], "specHash": "h"}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_job_that_succeeded_is_not_trained_again() -> None:
    with pytest.raises(AlreadySucceededError):
        taken(stored(phase="Succeeded", progress={"step": 9}), document())


@pytest.mark.parametrize("phase", ["Running", "Failed", "Succeeded"])
def test_another_training_spec_is_refused_by_its_fields(phase: str) -> None:
    with pytest.raises(SpecChangedError) as refused:
        taken(stored(phase=phase, progress={"step": 9}), document(training={"learningRate": 1e-4}, nodes=2))
    assert refused.value.fields == ("spec.nodes", "spec.training.learningRate")


def test_another_training_spec_is_welcome_while_nothing_was_trained() -> None:
    before = stored(phase="Failed", failure={"class": "DataError"}, progress={"step": 0})
    assert taken(before, document(training={"learningRate": 1e-4})) is None


def test_an_attempt_without_an_end_was_interrupted() -> None:
    assert interrupted(stored(attempts=[{"number": 1, "ended": "T"}, {"number": 2}]))
    assert not interrupted(stored(attempts=[{"number": 1, "ended": "T"}]))
    assert not interrupted(stored())


def test_suspending_and_back_is_no_change_of_the_spec() -> None:
    before = stored()
    during = with_suspend(before, suspend=True)
    assert during["spec"]["runPolicy"] == {"suspend": True}
    assert during["metadata"]["generation"] == 2
    assert with_suspend(during, suspend=False)["spec"].get("runPolicy", {}) == {}
    kept = stored({"runPolicy": {"backoffLimit": 9}})
    assert with_suspend(with_suspend(kept, suspend=True), suspend=False)["spec"] == kept["spec"]
