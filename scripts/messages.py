"""What kubetune says when something goes wrong, said by its own code: docs/troubleshooting.md cannot drift from it.

Each function shows the code what it would see, and returns its words. Nothing here is written by hand but the case.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from scene import CHILD, GANG, MASTER, NOON, OUTPUT, SETTINGS, STATE, WORKER, connected, job, observed, parsed, scratch, step, turn

from kubetune.api import InvalidJob, parse_job
from kubetune.api.identity import identity
from kubetune.api.status import JobStatus, Phase
from kubetune.controller.diagnose import diagnose
from kubetune.controller.observe import Observation, Upstream
from kubetune.controller.pods import PodState
from kubetune.controller.policies import held, live, queued, start
from kubetune.controller.queueing import QueueState, waiting
from kubetune_trainer import disk
from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.contract import FailureClass, Outcome
from kubetune_trainer.data.preflight import check_model, check_output
from kubetune_trainer.data.readable import refusal, rights
from kubetune_trainer.data.survey import check_dataset
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.handover import RESOURCE_NAMES, contract_of, in_resource_terms
from kubetune_trainer.launch import diagnosis
from kubetune_trainer.launch.evidence import RankError
from kubetune_trainer.launch.gang import Gang
from kubetune_trainer.launch.hang import hang_error
from kubetune_trainer.launch.rollcall import MasterCall
from kubetune_trainer.launch.stacks import RankStack
from kubetune_trainer.outcome import Evidence, judge


def of_pod(pod: PodState, seconds: float = 0, **facts: Any) -> str:
    """What the operator makes of one pod."""
    found = diagnose(observed(replace(pod, **facts)), SETTINGS, NOON + timedelta(seconds=seconds))
    return found.message if found else ""


def invalid_spec() -> str:
    try:
        parse_job(job(training={"numEpoch": 3}))
    except InvalidJob as error:
        return str(error)
    raise AssertionError("a misspelt field was taken")


def refused(call: Callable[[], object]) -> str:
    """A refusal of the trainer, in the words of the resource."""
    try:
        call()
    except ConfigurationError as error:
        return in_resource_terms(error, RESOURCE_NAMES)
    raise AssertionError("nothing was refused")


def model_without_weights() -> str:
    return refused(lambda: check_model(Path("/kubetune/volumes/models/tiny"), needs_chat_template=True))


def model_of_another_user() -> str:
    directory = Path("/kubetune/volumes/models/tiny")
    return in_resource_terms(refusal("model_path", directory, rights("model.safetensors", 0o600, 0, 1000)), [])


def output_that_is_a_file() -> str:
    with scratch():
        Path("runs").write_text("")
        return refused(lambda: check_output(Path("runs")))


def bad_data(rows: list[Any]) -> str:
    with scratch():
        Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return refused(lambda: check_dataset(Path("train.jsonl"), "messages"))


def of_rank(message: str) -> str:
    return str(diagnosis.from_exception(RankError(0.0, 3, message, ""), Path("/none"), 0))


def killed(oom_kills: int) -> str:
    return str(diagnosis.from_signal("rank 3", -9, Path("/none"), oom_kills))


def missing_nodes() -> str:
    call = MasterCall(GANG)
    with connected() as (member, _):
        call._members[1] = member  # noqa: SLF001 - the one that came; the real wait would take its ten minutes
        return call._who_is_missing()  # noqa: SLF001


def lost_connection() -> str:
    with connected() as (member, there):
        gang = Gang([member])
        there.close()
        gang.poll(5)
        return str(gang.failure)


def judged(*steps: StepMetrics, **evidence: Any) -> str:
    return judge(Evidence(attempt=1, steps=steps, total_steps=1200, **evidence)).message


def full(what: str) -> str:
    with mock.patch.object(disk, "free_bytes", return_value=96_000_000):
        return str(disk.full_disk(what, Path(f"/kubetune/volumes/runs/{OUTPUT}/attempt-2"), 541_600_000))


def hung() -> str:
    frames = ["/venv/torch/distributed/distributed_c10d.py:1 in all_gather_into_tensor"]
    stacks = [RankStack(0, 0, 70, "sleeping", frames), RankStack(1, 1, 71, "stopped", [])]
    return str(hang_error(stacks, 601, f"/kubetune/volumes/runs/{OUTPUT}/attempt-1/logs"))


def by_policy(policy: Callable[..., Any], seen: Observation, seconds: float = 0) -> str:
    """The message of what a policy of the operator decides."""
    decision = policy(seen, SETTINGS, NOON + timedelta(seconds=seconds))
    return str(decision.failure.message if decision.failure else decision.message)


def limited(**policy: int) -> Observation:
    return observed(MASTER, job=parsed(runPolicy=policy))


def half_way() -> str:
    outcome = Outcome(reached_end=False, attempt=1, step=400, total_steps=1200)
    return of_pod(MASTER, running=False, exit_code=0, phase="Succeeded", outcome=outcome)


def used_up() -> str:
    seen = observed(replace(WORKER, exit_code=137, running=False, phase="Failed"), status=JobStatus(restarts=3))
    decision = live.failed(seen, SETTINGS, NOON + timedelta(hours=1))
    return decision.message if decision else ""


def never_started(**facts: Any) -> Observation:
    return observed(attempt=None, child=None, **facts)


def of_queue(**facts: Any) -> str:
    return waiting(QueueState("research", **facts))[1]


def changed() -> str:
    """Of a job that was started with one node and has two now."""
    child = replace(CHILD, identity=identity(parsed()))
    return start.spec_change(observed(job=parsed(nodes=2), hash="b", child=child, status=JobStatus(spec_hash="a"))) or ""


SAID: dict[str, Callable[[], str]] = {
    "invalid spec": invalid_spec,
    "no model": model_without_weights,
    "no right": model_of_another_user,
    "no output": output_that_is_a_file,
    "old image": lambda: refused(lambda: contract_of({"KUBETUNE_CONTRACT": '{"version": "v2"}'})),
    "no secret": lambda: of_pod(
        MASTER, 120, running=False, waiting_reason="CreateContainerConfigError", waiting_message='secret "hugging-face" not found'
    ),
    "name taken": lambda: by_policy(start.occupied, never_started(occupant=replace(CHILD, owned=False))),
    "upstream failed": lambda: by_policy(
        start.upstream, never_started(upstream=Upstream("first", exists=True, phase=Phase.FAILED))
    ),
    "bad rows": lambda: bad_data([turn("asistant"), {"text": "hello"}, turn("assistant")]),
    "nothing to learn": lambda: bad_data([turn("user")] * 8),
    "gpu memory": lambda: of_rank("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."),
    "host memory": lambda: killed(1),
    "container memory": lambda: of_pod(WORKER, exit_code=137, exit_reason="OOMKilled", running=False, phase="Failed"),
    "node memory": lambda: of_pod(
        WORKER, phase="Failed", running=False, reason="Evicted", message="The node was low on resource: memory."
    ),
    "missing nodes": missing_nodes,
    "lost connection": lost_connection,
    "pod killed": lambda: of_pod(WORKER, exit_code=137, running=False, phase="Failed"),
    "pod deleted": lambda: of_pod(WORKER, deletion=NOON, disruption="DeletionByTaintManager"),
    "preempted": lambda: judged(step(212), error=TrainingError(FailureClass.PREEMPTED, ""), checkpoints=(STATE,)),
    "taken away": lambda: of_pod(WORKER, deletion=NOON, disruption="PreemptionByScheduler"),
    "kueue": lambda: (
        queued.eviction(
            observed(
                queue=QueueState("research", evicted_reason="Preempted", evicted_message="Preempted to accommodate a workload")
            )
        ).message
    ),
    "full disk": lambda: full("rank 0: No space left on device (os error 28)"),
    "node disk": lambda: of_pod(
        WORKER, phase="Failed", running=False, reason="Evicted", message="The node was low on resource: ephemeral-storage."
    ),
    "nan": lambda: judged(step(7), step(8, math.nan), step(9, math.nan)),
    "hang": hung,
    "hang seen from outside": lambda: by_policy(live.hang, limited(progressDeadlineSeconds=600), 621),
    "image": lambda: of_pod(
        MASTER, 120, running=False, waiting_reason="ImagePullBackOff", waiting_message="Back-off pulling image"
    ),
    "deadline": lambda: by_policy(live.deadline, limited(activeDeadlineSeconds=3600), 3600),
    "child deleted": lambda: diagnose(observed(child=None), SETTINGS, NOON).message,  # type: ignore[union-attr] # it is lost
    "no step": judged,
    "half way": lambda: judged(step(400)),
    "killed": lambda: killed(0),
    "zero without an end": half_way,
    "limit used up": used_up,
    "changed": changed,
    "unschedulable": lambda: live.standing(
        observed(replace(MASTER, running=False, unschedulable="0/8 nodes are available: 8 Insufficient nvidia.com/gpu."))
    )[2],
    "waits for job": lambda: by_policy(start.upstream, never_started(upstream=Upstream("first", exists=False))),
    "not acknowledged": lambda: by_policy(
        held.held, observed(child=replace(CHILD, name="teach-sft-2", created=NOON, held=True)), SETTINGS.held_quiet_seconds
    ),
    "no kueue": lambda: of_queue(installed=False),
    "in the queue": lambda: of_queue(
        workload="w", waiting_reason="Pending", waiting_message="insufficient unused quota for nvidia.com/gpu", position=3
    ),
}
"""A name in troubleshooting.in.md, and who says it."""
