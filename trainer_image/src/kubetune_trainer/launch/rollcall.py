"""Before torchrun starts, every node reports to the master: who does not come in time is named, on every node.

torchrun itself only counts ("1/2 clients joined"), and only on the master; elsewhere a connection closes. The master listens
on its rendezvous port, the one that all nodes know, and frees it for torchrun when everybody is there; the connections stay,
and tell each node of another one's end as long as the run lasts (launch.gang).
"""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.lines import Line

CONNECT_SECONDS = 5.0
PAUSE_SECONDS = 0.5
ANSWER_SECONDS = 5.0
"""How much later than this node's own deadline the master's word may come."""


@dataclass(frozen=True)
class Member:
    """Another node, and the connection to it."""

    node: int
    host: str
    line: Line

    def __str__(self) -> str:
        return f"node {self.node} ({self.host})"


def roll_call(run: Torchrun) -> list[Member]:
    """Blocks until all nodes are there. The master gets all others, another node the master; one node alone nobody.

    Everyone waits for run.join_timeout_seconds at most, counted from the moment at which the first of them began to wait.
    Only nodes of the same rdzv_id are taken: one of an earlier attempt, or a master of one, is not this gang's.

    Raises:
        TrainingError: RendezvousTimeout; the message names the nodes that did not come.

    """
    if run.endpoint is None:
        return []
    return MasterCall(run).wait() if run.node_rank == 0 else [report_to_master(run)]


def node_name(run: Torchrun, node: int) -> str:
    """Its rank, and the host name that Kubeflow's training operator gives that replica where the master has one of its names."""
    host = (run.endpoint or "").rpartition(":")[0]
    job, found, _ = host.rpartition("-master-0")
    if not found:
        return f"node {node} ({host}, the master)" if node == 0 else f"node {node}"
    return f"node {node} ({host if node == 0 else f'{job}-worker-{node - 1}'})"


def timed_out(message: str) -> TrainingError:
    return TrainingError(FailureClass.RENDEZVOUS_TIMEOUT, message)


class MasterCall:
    """The master's side."""

    def __init__(self, run: Torchrun) -> None:
        self._run, self._began = run, time.monotonic()
        self._deadline = self._began + run.join_timeout_seconds
        self._members: dict[int, Member] = {}
        self._refused: list[str] = []
        self._selector = selectors.DefaultSelector()

    def wait(self) -> list[Member]:
        """The other nodes, in the order of their ranks."""
        try:
            with listen(int(str(self._run.endpoint).rpartition(":")[2])) as listener:
                self._selector.register(listener, selectors.EVENT_READ)
                while self._missing:
                    self._give_up_in_time()
                    for key, _ in self._selector.select(PAUSE_SECONDS):
                        self._answer(listener, key.fileobj)
        except BaseException:
            for line in self._lines:
                line.close()
            raise
        finally:
            self._selector.close()
        for member in self._members.values():  # the port is free for torchrun
            member.line.send(go=True, host=socket.gethostname())
        return [self._members[node] for node in sorted(self._members)]

    @property
    def _missing(self) -> list[int]:
        return [node for node in range(1, self._run.nnodes) if node not in self._members]

    @property
    def _lines(self) -> list[Line]:
        return [key.fileobj for key in self._selector.get_map().values() if isinstance(key.fileobj, Line)]

    def _give_up_in_time(self) -> None:
        if time.monotonic() < self._deadline:
            return
        message = self._who_is_missing()
        for member in self._members.values():
            member.line.send(missing=message)
        raise timed_out(message)

    def _who_is_missing(self) -> str:
        names = ", ".join(node_name(self._run, node) for node in self._missing)
        came = ", ".join(["node 0", *(str(self._members[node]) for node in sorted(self._members))])
        waited = f"within {self._run.join_timeout_seconds} s"
        refused = f"; refused: {'; '.join(dict.fromkeys(self._refused))}" if self._refused else ""
        return f"{names} did not come to the rendezvous at {self._run.endpoint} {waited}; there were {came}{refused}"

    def _answer(self, listener: socket.socket, source: Any) -> None:
        if source is listener:
            connection, _ = listener.accept()
            self._selector.register(Line(connection), selectors.EVENT_READ)
            return
        said = source.receive()
        if said is None or not all(self._admit(source, hello) for hello in said):
            self._selector.unregister(source)
            self._members = {node: member for node, member in self._members.items() if member.line is not source}
            source.close()

    def _admit(self, line: Line, hello: dict[str, Any]) -> bool:
        """A node that comes again was started anew: its last connection counts."""
        gang, node, host = hello.get("gang"), hello.get("node"), str(hello.get("host"))
        if gang != self._run.rdzv_id or not isinstance(node, int) or node not in range(1, self._run.nnodes):
            reason = f"node {node} ({host}, {line.peer}) is of {gang!r}, the master of {self._run.rdzv_id!r}"
            self._refused.append(reason)
            line.send(refused=reason)
            return False
        self._members[node] = Member(node, host, line)
        self._deadline = min(self._deadline, time.monotonic() + float(hello.get("left", 0)))
        return True


def listen(port: int) -> socket.socket:
    """On all addresses. SO_REUSEADDR, which create_server sets, lets torchrun listen while accepted connections stay open."""
    both = socket.has_dualstack_ipv6()
    try:
        return socket.create_server(("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)
    except OSError as error:
        message = f"the rendezvous port {port} cannot be listened on: {error.strerror}; is another process using it?"
        raise TrainingError(FailureClass.BACKEND_ERROR, message) from error


def report_to_master(run: Torchrun) -> Member:
    """Another node's side: tries again until the master answers, which is later than its name resolves."""
    deadline, last = time.monotonic() + run.join_timeout_seconds, "never tried"
    while (left := deadline - time.monotonic()) > 0:
        answer = ask_master(run, left)
        if isinstance(answer, Member):
            return answer
        last = answer
        time.sleep(min(PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
    raise timed_out(
        f"{node_name(run, 0)} did not answer at {run.endpoint} within {run.join_timeout_seconds} s (last: {last}); "
        "is its pod running, and may this pod reach it?"
    )


def ask_master(run: Torchrun, left: float) -> Member | str:
    """The master once all are there, or why it must be asked again.

    Raises:
        TrainingError: the master says that others did not come.

    """
    host, _, port = str(run.endpoint).rpartition(":")
    try:
        line = Line(socket.create_connection((host.strip("[]"), int(port)), timeout=min(CONNECT_SECONDS, left)))
    except OSError as error:
        return str(error)
    line.send(gang=run.rdzv_id, node=run.node_rank, host=socket.gethostname(), left=left)
    try:
        answer = first_word(line, left + ANSWER_SECONDS)
    except BaseException:
        line.close()
        raise
    if "go" in answer:
        return Member(0, str(answer["host"]), line)
    line.close()
    if "missing" in answer:
        raise timed_out(str(answer["missing"]))
    return str(answer.get("refused", "the master closed the connection before all nodes were there"))


def first_word(line: Line, seconds: float) -> dict[str, Any]:
    """Empty where the line was closed or nothing came."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                said = line.receive()
                if said is None or said:
                    return (said or [{}])[0]
    return {}
