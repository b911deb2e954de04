"""What the nodes of a run tell each other while it lasts: who failed of what, who ended, and where their ranks stand.

A node whose process was killed says nothing, and its connection closes at once: the others need not wait until NCCL or gloo
gives up, which takes half an hour where a rank is not in the middle of a transfer.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Sequence
from typing import Any

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.diagnosis import is_consequence
from kubetune_trainer.launch.rollcall import Member
from kubetune_trainer.launch.stacks import RankStack

WORD_SECONDS = 15.0
"""How long a node that only saw a consequence waits for the word of the one that knows the cause."""


class Gang:
    """This node's view of the others. The master hears everybody and passes it on; without others nothing ever happens.

    poll() is called by one thread over and over; the rest by any.
    """

    def __init__(self, members: Sequence[Member] = (), node: int = 0) -> None:
        self.node = node
        self.failure: TrainingError | None = None  # what another node said, or that it is gone; a cause rather than a consequence
        self.failed_at: float | None = None  # time.monotonic() of the first such word
        self.stacks_wanted = False
        self._members, self._lock = list(members), threading.Lock()
        self._silent = {member.node for member in members}  # who may still say more
        self._spoke = set[int]()
        self._stacks = dict[int, list[RankStack]]()
        self._selector = selectors.DefaultSelector()
        for member in members:
            self._selector.register(member.line, selectors.EVENT_READ, member)

    def poll(self, seconds: float) -> None:
        """Hears what has come; waits for at most so long."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            member: Member = key.data
            said = member.line.receive()
            for document in said or ():
                self._hear(member, document)
            if said is None:
                self._selector.unregister(member.line)
                self._silent.discard(member.node)
                if member.node not in self._spoke:
                    lost = f"{member} is gone: its connection closed without a last word"
                    self._note(TrainingError(FailureClass.NODE_LOST, lost), member)

    def _hear(self, member: Member, document: dict[str, Any]) -> None:
        if "failed" in document or "ended" in document:
            self._spoke.add(member.node)
            if self.node == 0 or document.get("last", True):  # the master may yet hear more from others
                self._silent.discard(member.node)
        if "failed" in document:
            self._note(TrainingError(FailureClass(document["failed"]), document["message"], log_tail=document["tail"]), member)
        elif "stacks" in document:
            self._stacks[member.node] = [RankStack(**stack) for stack in document["stacks"]]
        elif "stacks_wanted" in document:
            self.stacks_wanted = True

    def _note(self, failure: TrainingError, source: Member) -> None:
        """The first word counts, but for a consequence that a cause comes after; the master passes on what counts."""
        if self.failure is not None and not (is_consequence(self.failure) and not is_consequence(failure)):
            return
        self.failure, self.failed_at = failure, self.failed_at or time.monotonic()
        self._send_all(failed=failure.failure_class.value, message=str(failure), tail=failure.log_tail, last=False, but=source)

    def cause(self, own: TrainingError, host: str) -> TrainingError:
        """What ended the run, where this node only saw a consequence: the word of another node, waited for if one may come."""
        if not is_consequence(own):
            return own
        self.tell(own, host, last=False)
        deadline = time.monotonic() + WORD_SECONDS
        while self._silent and (self.failure is None or is_consequence(self.failure)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.failure if self.failure is not None and not is_consequence(self.failure) else own

    def tell(self, error: TrainingError | None, host: str, *, last: bool = True) -> None:
        """What ended this node; None: it reached its end."""
        if error is None:
            self._send_all(ended=True)
            return
        message = str(error) if error is self.failure else f"node {self.node} ({host}): {error}"
        self._send_all(failed=error.failure_class.value, message=message, tail=error.log_tail, last=last)

    def say_here(self) -> None:
        self._send_all(here=True)

    def ask_for_stacks(self) -> None:
        self._send_all(stacks_wanted=True)

    def give_stacks(self, stacks: Sequence[RankStack]) -> None:
        self.stacks_wanted = False
        self._send_all(stacks=[vars(stack) for stack in stacks])

    def stacks(self, seconds: float) -> list[RankStack]:
        """Those of the other nodes, as far as they come in time."""
        deadline = time.monotonic() + seconds
        while self._silent - self._stacks.keys() and time.monotonic() < deadline:
            self.poll(0.1)
        return [stack for node in sorted(self._stacks) for stack in self._stacks[node]]

    def _send_all(self, *, but: Member | None = None, **values: Any) -> None:
        with self._lock:
            for member in self._members:
                if member is not but:
                    member.line.send(**values)

    def close(self) -> None:
        self._selector.close()
        for member in self._members:
            member.line.close()
