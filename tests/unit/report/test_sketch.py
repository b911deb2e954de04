import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetune.report import sketch


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], ""),
        ([None, None], ""),
        ([3.0], "▅"),
        ([3.0, 3.0, 3.0], "▅▅▅"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, None, 0], "█▁"),
        ([2.0, math.nan, 1.0, math.inf], "█!▁!"),
        ([math.nan], "!"),
        ([-1e308, 1e308], "▁█"),
    ],
)
def test_what_is_drawn(values, said):
    assert sketch(values) == said


def test_more_values_than_columns_are_averaged():
    assert sketch([0, 2, 7, 9], width=2) == "▁█"
    assert len(sketch(range(1000), width=20)) == 20


def test_a_spell_of_nan_within_a_column_is_averaged_away_and_a_whole_column_of_it_is_not():
    assert sketch([1, math.nan, math.nan, math.nan], width=2) == "▅!"


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=200), st.integers(1, 40))
def test_never_longer_than_asked_and_never_an_error(values, width):
    known = [value for value in values if value is not None]
    assert len(sketch(values, width)) == min(width, len(known))
