"""Watches a run from beside it: progress out of the metrics file, and every new checkpoint read back before it is named."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics
from kubetune_trainer.checkpoints import Manifest, has_weights, write_manifest
from kubetune_trainer.contract import MANIFEST_NAME, Checkpoint, Report, newest
from kubetune_trainer.plan import RunPlan
from kubetune_trainer.progress import MetricsReader, progress_of, total_steps
from kubetune_trainer.report import Throttle, publish
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.output import AWAITING
from kubetune_trainer.storage.uploads import Uploads

logger = logging.getLogger(__name__)


@dataclass
class Monitor:
    """One for each run. `start` watches in two threads (a large checkpoint takes minutes to read); `finish` looks a last time."""

    plan: RunPlan
    run: BackendRun
    resumed_from: str | None = None
    resumed_step: int = 0
    problems: dict[Path, list[str]] = field(default_factory=dict)
    _found: dict[Path, Checkpoint] = field(default_factory=dict)
    _sealed: dict[Path, Manifest] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        backend = self.plan.backend
        self._reader = MetricsReader(backend.metrics_file(self.run), lambda line: backend.parse_metrics(line, self.run))
        self._known = backend.total_steps(self.run)
        self._throttle = Throttle(self.plan.report_interval)
        self.steps: list[StepMetrics] = []
        self._uploads = Uploads(self.plan.store, self.plan.checkpoint.keep) if self.plan.store else None

    @property
    def total_steps(self) -> int | None:
        return total_steps(self._known, self.steps, self.run.parameters.get("num_epochs") or 1)

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        with self._lock:
            return tuple(sorted(self._found.values(), key=lambda c: (c.step, c.kind)))

    @property
    def trained(self) -> bool:
        """Whether this run did a step: before that a save would hold nothing new."""
        if not self.plan.judges:  # elsewhere nobody reads until the end
            self.read()
        return bool(self.steps)

    def start(self) -> None:
        """A node that does not judge has nothing to watch but its part of an output in a store."""
        for look in (self.read, self.check) if self.plan.judges else (self.check,):
            thread = threading.Thread(target=self._loop, args=(look,), name=f"monitor-{look.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, *, wait: bool = True) -> None:
        """Ends the threads; without `wait` a check under way is left behind (the process is about to end)."""
        self._stop.set()
        for thread in self._threads if wait else ():
            thread.join()

    def finish(self, *, returned: bool) -> None:
        """A last look after the threads ended. `returned`: the backend came back, so nothing is being written any more."""
        self._throttle.interval = 0  # the last word is never held back
        if self._uploads is not None:
            self._uploads.last = True
        self.read()
        self.check(returned=returned)
        self.read()

    def read(self) -> None:
        """Reads what was logged since the last look, and reports: one node alone does, there is one report a job."""
        self.steps = self._reader.poll()
        progress = progress_of(self.steps, self.total_steps, datetime.now(UTC))
        report = Report(
            attempt=self.plan.attempt,
            progress=progress,
            checkpoints=newest(self.checkpoints),
            resumed_from=self.resumed_from,
        )
        if self.plan.judges and self._throttle.due(report, time.monotonic()):
            publish(self.plan.report, report)

    def check(self, *, returned: bool = False) -> None:
        """Verifies what is new and complete, and forgets what is no longer there."""
        found = self.plan.backend.found(self.run, self.steps)
        new = [each for each in found if self._is_new(each) and self._is_complete(each, returned=returned)]
        if self._uploads is not None:
            self._examine_and_upload(self._uploads, new, reached_end=returned and self._at_the_end)
            return
        for each in new:
            self._examine(each)
        with self._lock:
            self._found = {path: checkpoint for path, checkpoint in self._found.items() if path.is_dir()}

    @property
    def _at_the_end(self) -> bool:
        return bool(self.steps) and self.steps[-1].step == self.total_steps

    def _examine_and_upload(self, uploads: Uploads, new: Sequence[FoundCheckpoint], *, reached_end: bool) -> None:
        """A checkpoint is named once the store holds it. What is under way when the store goes away is tried again."""
        waiting = uploads.in_order(new, reached_end=reached_end)
        for place, found in enumerate(waiting):
            try:
                self._examine(found)
            except StoreError as error:
                uploads.failed(found, error)
                if uploads.last:
                    self.problems |= {each.path: [uploads.why_not(error)] for each in waiting[place:]}
                if uploads.last or error.code != AWAITING:
                    return
        for path in uploads.retire():
            with self._lock:
                self._found.pop(path, None)

    def give_up_uploads(self, reason: str) -> None:
        """Says of what was saved and is not in the store that it is not; nothing is said where there is no store."""
        if self._uploads is None:
            return
        for found in self.plan.backend.found(self.run, self.steps):
            if self._is_new(found):
                self.problems[found.path] = [self._uploads.why_not(reason)]

    def _is_new(self, found: FoundCheckpoint) -> bool:
        return found.step > self.resumed_step and found.path not in self._found and found.path not in self.problems

    def _is_complete(self, found: FoundCheckpoint, *, returned: bool) -> bool:
        """A full state gets its name when it is whole. A directory of weights grows in place: it is whole once every rank
        went on, which a later step proves, or the backend's return.
        """
        return returned or found.kind == "full-state" or (bool(self.steps) and self.steps[-1].step > found.step)

    def _examine(self, found: FoundCheckpoint) -> None:
        problems: list[str] = []
        size = 0
        try:
            if found.kind != "full-state" and found.path not in self._sealed:
                problems = self.plan.verifiers[found.kind](found.path, self.run.model_dir)
            if not problems:
                size = self._seal(found).total_bytes
        except FileNotFoundError:
            logger.info("%s was removed while it was read (an older state makes room for a newer one)", found.path)
            return
        if problems:
            self.problems[found.path] = problems
            logger.error("%s is no checkpoint: %s", self.plan.uri_of(found.path), "; ".join(problems))
            if found.kind == "hf" and not has_weights(found.path):
                return
        checkpoint = Checkpoint(
            uri=self.plan.uri_of(found.path),
            step=found.step,
            epoch=found.epoch,
            bytes=size or _size(found.path),
            kind=found.kind,
            verified=not problems,
            time=datetime.now(UTC),
        )
        with self._lock:
            self._found[found.path] = checkpoint

    def _seal(self, found: FoundCheckpoint) -> Manifest:
        """The manifest, written last: here, and then in the store where there is one (another look may have to try that again)."""
        if found.path not in self._sealed:
            self._sealed[found.path] = write_manifest(found.path, self._manifest(found), self.plan.backend.distributions)
        return self._uploads.upload(found, self._sealed[found.path]) if self._uploads else self._sealed[found.path]

    def _manifest(self, found: FoundCheckpoint) -> Manifest:
        return Manifest(
            kind=found.kind,
            step=found.step,
            epoch=found.epoch,
            world_size=self.plan.world_size,
            attempt=self.plan.attempt,
            algorithm=self.plan.algorithm,
            backend=self.plan.backend.name,
            job=self.plan.job,
            time=datetime.now(UTC),
        )

    def _loop(self, look: Callable[[], None]) -> None:
        while not self._stop.wait(self.plan.poll_interval):
            try:
                look()
            except Exception:  # the last look, after the run, raises what lasts
                logger.exception("the run could not be watched for a moment; training goes on")


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name != MANIFEST_NAME)
