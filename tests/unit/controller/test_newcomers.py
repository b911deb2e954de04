"""Which jobs nobody can have made anything for."""

from datetime import timedelta

import pytest
from fake_cluster import NOW, job

from kubetune.controller.newcomers import Newcomers
from kubetune.controller.workqueue import Key

TEACH = Key("SFTJob", "default", "teach")


def led_since(seconds: float) -> Newcomers:
    """Of one that began to lead so long before the job was created."""
    newcomers = Newcomers()
    newcomers.lead(NOW - timedelta(seconds=seconds))
    return newcomers


def test_a_job_that_was_created_since_is_taken_once():
    newcomers = led_since(60)
    stored = job() | {"status": {"phase": "Pending"}}  # the CRD's default
    newcomers.told(TEACH, stored, "ADDED")
    assert newcomers.take(TEACH) == stored
    assert newcomers.take(TEACH) is None


@pytest.mark.parametrize(
    ("seconds", "body", "change"),
    [
        (60, job(), None),  # listed
        (60, job(), "MODIFIED"),
        (4, job(), "ADDED"),  # clocks differ
        (-60, job(), "ADDED"),
        (60, job() | {"status": {"phase": "Starting", "conditions": [{"type": "Reconciling"}]}}, "ADDED"),
        (60, job() | {"status": {"phase": "Pending", "attempts": [{"number": 1}]}}, "ADDED"),
        (60, job() | {"metadata": {"name": "teach"}}, "ADDED"),
    ],
)
def test_one_that_may_have_been_there_before_is_none(seconds, body, change):
    newcomers = led_since(seconds)
    newcomers.told(TEACH, body, change)
    assert newcomers.take(TEACH) is None


@pytest.mark.parametrize("change", ["MODIFIED", "DELETED", None])
def test_any_other_word_of_it_ends_that(change):
    newcomers = led_since(60)
    newcomers.told(TEACH, job(), "ADDED")
    newcomers.told(TEACH, job(generation=2), change)
    assert newcomers.take(TEACH) is None


def test_whoever_does_not_lead_knows_none():
    newcomers = led_since(60)
    newcomers.told(TEACH, job(), "ADDED")
    newcomers.lead(None)
    assert newcomers.take(TEACH) is None
    newcomers.told(TEACH, job(), "ADDED")
    assert newcomers.take(TEACH) is None
