"""How the controller behaves, the same for every job. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kubetune.api.defaults import NONE, JobDefaults
from kubetune.render import RenderSettings


@dataclass(frozen=True)
class ControllerSettings:
    """Choices of the installation."""

    render: RenderSettings
    """How pods are laid out."""

    job_defaults: JobDefaults = NONE
    """What jobs get that they leave out. A change counts for attempts that are made afterwards."""

    backoff_base_seconds: float = 10.0
    """The wait before the first retry; it doubles with every further failure in a row, as a Kubernetes Job's does."""

    backoff_cap_seconds: float = 300.0
    """No wait is longer than this."""

    poll_seconds: float = 30.0
    """How often a live attempt is looked at again when nothing is heard of it. Events come sooner; this is the belt."""

    polls_per_second: float = 10.0
    """How many looks there are at most of which no event is the reason: with more than 300 live jobs each comes to it less often,
    of 1000 every 100 seconds; and with more than 100, that the pods of one which has not reported run is told later."""

    quiet_seconds: float = 120.0
    """How long a job's first attempt may wait for its pods before the status speaks of it: most jobs save a write. 0: at once."""

    quiet_pods_seconds: float = 10.0
    """The same once there are pods: the longest that a job which is starting looks like one that was not looked at yet."""

    missing_seconds: float = 60.0
    """How long pods may be missing before the cluster is asked why: they are refused by a quota, or only late."""

    nudge_seconds: float = 330.0
    """When a PyTorchJob whose pods nobody makes, or refuses, is touched, so that the training operator looks at it again: it may
    wait for five minutes for pods that it made for an earlier one of the same name, and nothing wakes it after that."""

    settle_seconds: float = 3.0
    """After a pod failed without a root cause of its own: how long the rest of the gang has to name one."""

    hang_slack_seconds: float = 20.0
    """How long after progressDeadlineSeconds the trainer itself has to end, with the stacks of its ranks in its outcome."""

    waiting_grace_seconds: float = 120.0
    """How long a container may wait with an image or configuration error before the attempt fails: registries hiccup."""

    termination_slack_seconds: float = 120.0
    """How long after its grace period a pod that should be gone is still waited for: its kubelet may be slow, or hear of it late.
    Of a lost node, whose pods never go, Kubernetes says so sooner (70 to 80 s; unreachable_toleration_seconds in render.plan)."""

    hold_retries: bool = False
    """Whether a retry's PyTorchJob is made suspended, until the training operator has taken note of it: one that lags still makes
    pods for the last attempt. The operator says yes; where nothing lags there is nothing to wait for."""

    held_quiet_seconds: float = 30.0
    """For how long the status says nothing of that wait: as a rule it is over within a second."""

    straggler_seconds: float = 30.0
    """How long after success the other nodes' pods may take to end by themselves: the master is only a moment ahead."""

    upstream_seconds: float = 15.0
    """How often a job that waits for another (resumeFrom.jobRef) looks at it."""

    leftover_seconds: float = 2.0
    """How often a job looks whether the garbage collector has taken an earlier job's child of the same name."""

    forgotten_seconds: float = 60.0
    """How old a job is when a PyTorchJob of an earlier one of its name is removed: the garbage collector may have missed it."""

    error_seconds: float = 15.0
    """When to try again after the cluster refused or did not answer."""

    conflict_seconds: float = 0.5
    """When to try again after somebody else wrote the job first (HTTP 409)."""

    max_resume_candidates: int = 5
    """How many full states a new attempt is offered, newest first."""

    log_tail_lines: int = 60
    """How much log of a failed pod is read when its outcome carries none."""

    def among(self, live: int) -> ControllerSettings:
        """For one of so many live jobs: what looks cost the API server does not grow with them."""
        seconds = live / self.polls_per_second
        if seconds <= min(self.poll_seconds, self.quiet_pods_seconds):
            return self
        quiet_pods = min(max(self.quiet_pods_seconds, seconds), self.quiet_seconds)
        return replace(self, poll_seconds=max(self.poll_seconds, seconds), quiet_pods_seconds=quiet_pods)
