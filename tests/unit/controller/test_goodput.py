"""What of an attempt was kept: whole seconds, as its end is."""

from datetime import timedelta

import pytest
from fake_cluster import at, checkpoint, job

from kubetune.controller.goodput import last_save
from kubetune.controller.observe import observe

BEGIN, END = at(10), at(60)


@pytest.mark.parametrize(
    ("saved", "kept"),
    [
        (at(40), at(40)),
        (END + timedelta(milliseconds=400), END),  # the end was cut to its second, the state's time was not
        (END + timedelta(seconds=1), BEGIN),
        (BEGIN - timedelta(seconds=1), BEGIN),  # an earlier attempt's
    ],
)
def test_an_attempt_keeps_what_came_before_its_last_state(saved, kept):
    state = checkpoint(kind="full-state", time=saved).model_dump(mode="json", by_alias=True, exclude_none=True)
    observed = observe(job() | {"status": {"checkpoints": [state]}})
    assert last_save(observed, BEGIN, END) == kept
