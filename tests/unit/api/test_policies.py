from __future__ import annotations

from kubetune.api import Checkpointing, RunPolicy


def test_effective_values_where_nothing_is_set():
    policy = RunPolicy()
    assert policy.effective_backoff_limit == 3
    assert policy.effective_clean_pod_policy == "Running"
    assert policy.effective_termination_grace_period_seconds == 30
    assert not policy.effective_suspend
    assert not policy.effective_delete_job
    assert policy.to_dict() == {}, "a default never makes a diff"


def test_zero_is_a_value():
    policy = RunPolicy(backoff_limit=0, termination_grace_period_seconds=0)
    assert (policy.effective_backoff_limit, policy.effective_termination_grace_period_seconds) == (0, 0)


def test_checkpoints_every_epoch_unless_told_otherwise():
    assert Checkpointing().effective_every_epoch
    assert not Checkpointing(every_epoch=False).effective_every_epoch
    assert (Checkpointing().effective_keep, Checkpointing(keep=5).effective_keep) == (1, 5)
