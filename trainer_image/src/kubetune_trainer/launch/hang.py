"""From the stacks of all ranks to what is to be said of a hang: who does not move, and who waits for whom where. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.stacks import ABLE, RankStack

TAIL_LINES = 40
LIBRARY = "/torch/"

COLLECTIVES = (
    "all_gather",
    "all_reduce",
    "all_to_all",
    "barrier",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
    "recv",
    "send",
)
"""Functions of torch.distributed in which a rank waits for others; each also with suffixes such as _into_tensor, _object."""


def hang_error(stacks: Sequence[RankStack], seconds: float, where: str) -> TrainingError:
    """The error of a run without a new step for `seconds`. `where`: the directory that holds the whole stacks."""
    message = f"no new step for {seconds:.0f} s; {what_stands(stacks)}; the stacks of {len(stacks)} ranks are in {where}"
    return TrainingError(FailureClass.HANG, message, log_tail=tail_of(stacks))


def what_stands(stacks: Sequence[RankStack]) -> str:
    """A rank whose process cannot run is named first; then ranks that others wait for; then collectives that do not match."""
    if not stacks:
        return "no rank was running"
    waiting = {stack.rank: name for stack in stacks if stack.state in ABLE and (name := collective_of(stack))}
    still = [stack for stack in stacks if stack.state not in ABLE]
    astray = [stack for stack in stacks if stack.state in ABLE and stack.rank not in waiting]
    said = [f"rank {s.rank} (node {s.node}, process {s.pid}) does not move: its process is {s.state}" for s in still]
    if not still and not astray and len(set(waiting.values())) > 1:
        said.append("the ranks wait in different collectives")
    said += [f"rank {s.rank} (node {s.node}) is at {place_of(s)}" for s in astray]
    said += [f"rank {rank} waits in {name}" for rank, name in waiting.items()]
    return ", ".join(said)


def collective_of(stack: RankStack) -> str | None:
    """The function of torch.distributed that the rank is in, as its innermost one is named; None: it waits for nobody."""
    for frame in stack.frames:
        place, _, function = frame.rpartition(" in ")
        if "/torch/distributed/" in place and function.startswith(COLLECTIVES):
            return function
    return None


def place_of(stack: RankStack) -> str:
    """The innermost frame, and the innermost one that is not torch's."""
    if not stack.frames:
        return "a place that it did not tell"
    own = next((frame for frame in stack.frames if LIBRARY not in frame), stack.frames[0])
    return stack.frames[0] if own == stack.frames[0] else f"{stack.frames[0]}, called from {own}"


def tail_of(stacks: Sequence[RankStack]) -> str | None:
    """The innermost frames of every rank, of those that others wait for last: what is cut is cut at the front."""
    ordered = sorted(stacks, key=lambda stack: (stack.state not in ABLE or collective_of(stack) is None, stack.rank))
    share = max(3, TAIL_LINES // max(1, len(stacks)) - 1)
    lines = [line for stack in ordered for line in (f"rank {stack.rank} ({stack.state}):", *stack.frames[:share])]
    return "\n".join(lines[-2 * TAIL_LINES :]) or None
