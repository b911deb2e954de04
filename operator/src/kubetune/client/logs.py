"""A job's logs: of the right pods, one or all of a gang, attempt after attempt. Functions over `Jobs`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass

from kubetune.api import parse_status
from kubetune.client.columns import phase_of, row_of
from kubetune.client.errors import ClientError, NoLogError
from kubetune.client.jobs import Jobs
from kubetune.client.pause import OFF, CalledOffError, pause
from kubetune.client.reading import last_attempt, pods, rank_of
from kubetune.client.targets import typed_name
from kubetune.client.waiting import Looks, look, over
from kubetune.cluster import ClusterError, Manifest
from kubetune.controller.pods import attempt_of, pod_state

MASTER = 0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LogLine:
    """A line of a pod's log; `str` of it is the text alone."""

    text: str
    rank: int  # of the node in its gang: 0 is the master
    attempt: int
    pod: str

    def __str__(self) -> str:
        return self.text

    @property
    def labelled(self) -> str:
        """With the rank before it."""
        return f"[{self.rank}] {self.text}"


@dataclass(frozen=True)
class Choice:
    """Which lines are wanted. `rank` None: of all nodes; `attempt` None: the last one and, following, those after it."""

    rank: int | None = MASTER
    attempt: int | None = None
    tail: int | None = None
    follow: bool = False


def stream(jobs: Jobs, job: Manifest, choice: Choice) -> Iterator[LogLine]:
    """The lines as they come. Raises NoLogError where there are none and none will come, ClientError, ClusterError."""
    number = choice.attempt or last_attempt(job)
    while True:
        found = started_pods(jobs, job, number, choice)
        if found:
            yield from one(jobs, found[0], choice) if len(found) == 1 else together(jobs, found, choice)
        if not choice.follow or choice.attempt:
            return
        following = next_attempt(jobs, job, number)
        if following is None:
            return
        number, choice = following, Choice(choice.rank, None, None, follow=True)


def started_pods(jobs: Jobs, job: Manifest, number: int, choice: Choice) -> list[Manifest]:
    """Those that have a log; following, they are waited for. Empty: the attempt or the job ended before they were there."""
    looks = Looks()
    while True:
        of_attempt = pods(jobs, job, number)
        chosen = [pod for pod in of_attempt if choice.rank in (None, rank_of(pod))]
        there = [pod for pod in chosen if (state := pod_state(pod)).started or state.ended]
        if chosen and len(there) == len(chosen):
            return there
        if of_attempt and not chosen:
            raise ClientError(f"there is no rank {choice.rank} of attempt {number}: it has {len(of_attempt)} nodes, counted from 0")
        if not choice.follow:
            if there:
                return there
            raise no_log(job, number, chosen)
        if (choice.attempt and attempt_over(job, number)) or over(job):
            if not there:
                raise no_log(job, number, chosen)
            return there
        pause(looks.after(str(job["metadata"].get("resourceVersion"))))
        job = look(jobs, job)
        if not choice.attempt and last_attempt(job) > number:
            return there


def attempt_over(job: Manifest, number: int) -> bool:
    attempts = parse_status(job.get("status") or {}).attempts
    return any(each.number == number and each.ended for each in attempts)


def no_log(job: Manifest, number: int, chosen: list[Manifest]) -> NoLogError:
    """Why there is none, with what the status kept of the last failure's."""
    status, name = parse_status(job.get("status") or {}), typed_name(job["kind"], job["metadata"]["name"])
    if chosen:
        waiting = pod_state(chosen[0]).waiting_reason or pod_state(chosen[0]).unschedulable or "its container has not started yet"
        return NoLogError(f"pod {chosen[0]['metadata']['name']} has no log yet: {waiting}; `kubetune logs -f {name}` waits for it")
    failure = status.failure
    ended = next((each for each in status.attempts if each.number == number), None)
    if ended is None:
        attempts = ", ".join(str(each.number) for each in status.attempts) or "none yet"
        return NoLogError(f"{name} ({phase_of(row_of(job))}) has no attempt {number} with pods; attempts: {attempts}")
    kept = failure.log_tail if failure and failure.log_tail and ended is status.attempts[-1] else ""
    rest = "its last lines are in the job's status" if kept else f"how it ended: {ended.message or ended.reason}"
    return NoLogError(f"the pods of attempt {number} of {name} are gone, and their logs with them; {rest}", kept)


def next_attempt(jobs: Jobs, job: Manifest, number: int) -> int | None:
    """The number of the one that follows; None if the job is over, suspended or gone."""
    looks = Looks()
    while True:
        job = look(jobs, job)
        if last_attempt(job) > number:
            return last_attempt(job)
        if over(job) or phase_of(row_of(job)) == "Suspended":
            return None
        pause(looks.after(str(job["metadata"].get("resourceVersion"))))


def one(jobs: Jobs, pod: Manifest, choice: Choice) -> Iterator[LogLine]:
    name, rank, attempt = pod["metadata"]["name"], rank_of(pod), attempt_of(pod)
    try:
        for text in jobs.log(pod, follow=choice.follow, tail=choice.tail):
            yield LogLine(text, rank, attempt, name)
    except ClusterError as error:
        if error.status in (400, 404):
            raise NoLogError(f"pod {name} has no log (any more): {error}") from error
        raise


def together(jobs: Jobs, found: list[Manifest], choice: Choice) -> Iterator[LogLine]:
    """Of several pods as they come, each read by a thread of its own; without `follow` one pod after the other."""
    if not choice.follow:
        for pod in found:
            yield from one(jobs, pod, choice)
        return
    lines: queue.Queue[LogLine | Exception | None] = queue.Queue(maxsize=10_000)
    off = threading.Event()
    for pod in found:
        threading.Thread(target=copy_context().run, args=(pump, off, lines, one(jobs, pod, choice)), daemon=True).start()
    try:
        yield from taken(lines, len(found))
    finally:
        off.set()


def pump(off: threading.Event, lines: queue.Queue[LogLine | Exception | None], source: Iterator[LogLine]) -> None:
    """Into the queue; None at the end, and the error before it if there was one."""
    OFF.set(off)
    with suppress(CalledOffError):
        try:
            for line in source:
                put(off, lines, line)
        except Exception as error:  # noqa: BLE001 - it is raised where the lines are read
            put(off, lines, error)
        put(off, lines, None)


def put(off: threading.Event, lines: queue.Queue[LogLine | Exception | None], item: LogLine | Exception | None) -> None:
    while not off.is_set():
        try:
            return lines.put(item, timeout=POLL_SECONDS)
        except queue.Full:
            continue
    raise CalledOffError


def taken(lines: queue.Queue[LogLine | Exception | None], writers: int, idle: Callable[[float], None] = pause) -> Iterator[LogLine]:
    """Until every writer has ended."""
    while writers:
        try:
            item = lines.get_nowait()
        except queue.Empty:
            idle(POLL_SECONDS)
            continue
        if isinstance(item, Exception):
            raise item
        if item is None:
            writers -= 1
        else:
            yield item
