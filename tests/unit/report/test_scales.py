import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetune.report.scales import number, pieces, scale, thinned

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)


def test_marks_are_round():
    assert scale([1.34, 6.03]).ticks == (1, 2, 3, 4, 5, 6, 7)
    assert scale([0.0, 0.003]).low == 0
    assert scale([1, 60], 6, whole=True, tight=True).ticks == (10, 20, 30, 40, 50, 60)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_every_value_has_a_place(values):
    axis = scale(values)
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value in values)
    assert 2 <= len(axis.ticks) <= 12


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.25, "0.25"), (12, "12"), (3500, "3,500"), (2e-5, "2e-5"), (0.00015, "1.5e-4"), (2_000_000, "2e+06"), (-3, "-3")],
)
def test_numbers_are_short(value, said):
    assert number(value) == said


def test_a_curve_is_broken_where_it_is_not_finite():
    assert pieces([(0, 1.0), (1, math.nan), (2, None), (3, 2.0), (4, 3.0)]) == [[(0, 1.0)], [(3, 2.0), (4, 3.0)]]


def test_thinning_keeps_ends_and_spikes():
    points = [(float(i), 100.0 if i == 777 else math.sin(i)) for i in range(10_000)]
    few = thinned(points, 200)
    assert len(few) <= 204
    assert few[0] == points[0]
    assert few[-1] == points[-1]
    assert (777.0, 100.0) in few
