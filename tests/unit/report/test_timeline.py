from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetune.report.timeline import since, time_ticks, timeline

START = datetime(2026, 11, 28, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def test_without_a_long_wait_places_are_proportional():
    line = timeline([(at(0), at(60)), (at(61), at(100))])
    assert not line.waits
    assert [line.place(at(seconds)) for seconds in (-5, 0, 50, 100, 500)] == [0, 0, 0.5, 1, 1]


def test_a_long_wait_takes_little_of_the_axis():
    line = timeline([(at(0), at(100)), (at(36_100), at(36_200))])
    assert line.seconds == pytest.approx(210)
    assert line.place(at(100)) == pytest.approx(100 / 210)
    assert line.place(at(36_100)) == pytest.approx(110 / 210)
    assert [text for _, text in time_ticks(line)] == ["0 s", "1 min", "10 h 02", "10 h 03"]


def test_attempts_that_overlap_leave_no_gap():
    assert timeline([(at(50), at(90)), (at(0), at(60))]).seconds == 90
    assert timeline([]) is None


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**5)), min_size=1, max_size=20))
def test_places_keep_the_order_of_time(spans):
    line = timeline([(at(begin), at(begin + length)) for begin, length in spans])
    moments = sorted({edge for begin, length in spans for edge in (begin, begin + length)})
    places = [line.place(at(moment)) for moment in moments]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (75, "1 min 15 s"), (3600, "1 h"), (12_000, "3 h 20"), (187_200, "2 d 4 h")],
)
def test_time_for_people(seconds, said):
    assert since(timedelta(seconds=seconds)) == said
