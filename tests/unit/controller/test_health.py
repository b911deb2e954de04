import pytest

from kubetune.controller.health import Limits, Pulse, Watching, faults, unready

NOW = 1000.0
WELL = {"loop": NOW, "contact": NOW, "warm": True}


@pytest.mark.parametrize(
    ("pulse", "fault"),
    [
        ({"loop": NOW - 31}, "the event loop is stuck for 31 s"),
        ({"contact": NOW - 121}, "no answer of the API server for 121 s"),
        ({"work": NOW - 601}, "the work queue is stuck for 601 s"),
        ({"blind": NOW - 61}, "the watch has been blind for 61 s"),
    ],
)
def test_each_silence_is_a_fault_beyond_its_limit(pulse, fault):
    assert list(faults(Pulse(**WELL | pulse), NOW, Limits())) == [fault]
    assert list(faults(Pulse(**WELL | pulse), NOW - 1, Limits())) == []


def test_it_is_ready_when_it_is_warm_and_well():
    assert list(unready(Pulse(**WELL), NOW, Limits())) == []
    assert list(unready(Pulse(**WELL | {"warm": False}), NOW, Limits())) == ["the jobs were not listed yet"]
    assert list(unready(Pulse(**WELL | {"watched": False}), NOW, Limits())) == ["the watches have not begun yet"]
    assert len(list(unready(Pulse(**WELL | {"contact": 0.0}), NOW, Limits()))) == 1


def test_a_quiet_watch_is_not_blind():
    watching = Watching()
    for now in (0.0, 100.0, 200.0):
        watching.listed({}, now)
    assert watching.blind is None
    assert not watching.owes


def test_a_watch_is_blind_since_the_first_list_that_it_is_behind():
    watching = Watching()
    watching.listed({"a": "5"}, 10.0)
    assert watching.owes
    assert watching.blind is None
    watching.listed({"a": "5", "b": "7"}, 70.0)
    assert watching.blind == 10.0
    watching.told("b")
    assert watching.blind is None, "whatever tells anything is not blind"
    watching.listed({}, 130.0)
    assert not watching.owes
