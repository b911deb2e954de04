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
from kubetune_trainer.backends.common import node_log_dir
from kubetune_trainer.checkpoints import Manifest, write_manifest
from kubetune_trainer.checkpoints.keeper import Keeper
from kubetune_trainer.checkpoints.last_good import followed
from kubetune_trainer.contract import Checkpoint, Progress, Report, newest
from kubetune_trainer.disk import full_disk, says_full, size_below
from kubetune_trainer.launch.evidence import read_stage
from kubetune_trainer.plan import RunPlan
from kubetune_trainer.plugins.saving import read_unsaved
from kubetune_trainer.progress import MetricsReader, before_first_step, progress_of, total_steps
from kubetune_trainer.report import Reports
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.output import AWAITING
from kubetune_trainer.storage.uploads import Uploads

logger = logging.getLogger(__name__)

LOADING = "starting the ranks and loading the model"
"""Until the ranks say more, or step."""


@dataclass
class Monitor:
    """One for each run. `start` watches in two threads (a large checkpoint takes minutes to read); `finish` looks a last time."""

    plan: RunPlan
    run: BackendRun
    reports: Reports
    keeper: Keeper
    earlier: tuple[Path, ...] = ()  # the directories of the same job's earlier attempts
    resumed_from: str | None = None
    resumed_step: int = 0
    problems: dict[Path, list[str]] = field(default_factory=dict)
    _found: dict[Path, Checkpoint] = field(default_factory=dict)
    _sealed: dict[Path, tuple[Manifest, float]] = field(default_factory=dict)  # with the seconds that it took
    _unsaved: int = 0  # failed saves that were told
    _short: bool = False  # a manifest waits for space
    _gave_way: bool = False  # a later attempt has begun
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        backend = self.plan.backend
        self._reader = MetricsReader(backend.metrics_file(self.run), lambda line: backend.parse_metrics(line, self.run))
        self._known = backend.total_steps(self.run)
        self.steps: list[StepMetrics] = []
        self._uploads = Uploads(self.plan.store, self.keeper, self.earlier) if self.plan.store else None

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
        self.reports.throttle.interval = 0  # the last word is never held back
        if self._uploads is not None:
            self._uploads.last = True
        self.read()
        self.check(returned=returned)
        self.read()

    def read(self) -> None:
        """Reads what was logged since the last look, and reports: one node alone does, there is one report a job."""
        self.steps = self._reader.poll()
        progress = progress_of(self.steps, self.total_steps, datetime.now(UTC)) or self._stage()
        report = Report(
            attempt=self.plan.attempt,
            progress=progress,
            checkpoints=newest(self.checkpoints),
            resumed_from=self.resumed_from,
        )
        if self.plan.judges:
            self.reports.tell(report)

    def _stage(self) -> Progress:
        stage = read_stage(node_log_dir(self.run)) or LOADING
        return before_first_step(stage, self.resumed_step, self.total_steps)

    def check(self, *, returned: bool = False) -> None:
        """Verifies what is new and complete, and forgets what is no longer there.

        Raises:
            TrainingError: of class DiskFull, once the backend returned: a manifest finds no room.

        """
        if self.plan.judges and followed(self.run.output_dir):
            self._give_way()
        found = self.plan.backend.found(self.run, self.steps)
        new = [each for each in found if self._is_new(each) and self._is_complete(each, returned=returned)]
        if self._uploads is not None:
            self._examine_and_upload(self._uploads, new, returned=returned)
        else:
            for each in new:
                self._examine(each, last=returned)
        self._tell_unsaved()
        self._forget()

    def _tell_unsaved(self) -> None:
        unsaved = read_unsaved(node_log_dir(self.run))
        for failed in unsaved[self._unsaved :]:
            logger.warning("the full state of step %d was not saved (%s): training goes on", failed.step, failed.reason)
            self.keeper.note(
                "save-failed",
                kind="full-state",
                step=failed.step,
                bytes=failed.needed,
                free_bytes=failed.free,
                reason=failed.reason,
            )
        self._unsaved = len(unsaved)

    def _forget(self) -> None:
        """The ranks remove the full states that newer ones replace; in a store they count until they leave it (Uploads.retire)."""
        if self._uploads is not None:
            return
        with self._lock:
            gone = {path: checkpoint for path, checkpoint in self._found.items() if not path.is_dir()}
            self._found = {path: checkpoint for path, checkpoint in self._found.items() if path not in gone}
        for path, checkpoint in gone.items():
            if checkpoint.verified:
                self.keeper.note(
                    "removed",
                    path,
                    kind=checkpoint.kind,
                    step=checkpoint.step,
                    bytes=checkpoint.bytes,
                    reason="a newer one is kept",
                )

    @property
    def _at_the_end(self) -> bool:
        return bool(self.steps) and self.steps[-1].step == self.total_steps

    def _examine_and_upload(self, uploads: Uploads, new: Sequence[FoundCheckpoint], *, returned: bool) -> None:
        """A checkpoint is named once the store holds it. What is under way when the store goes away is tried again."""
        waiting = uploads.in_order(new, reached_end=returned and self._at_the_end)
        for place, found in enumerate(waiting):
            try:
                self._examine(found, last=returned)
            except StoreError as error:
                uploads.failed(found, error)
                if uploads.last:
                    self.problems |= {each.path: [uploads.why_not(error)] for each in waiting[place:]}
                if uploads.last or error.code != AWAITING:
                    return

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

    def _examine(self, found: FoundCheckpoint, *, last: bool) -> None:
        began = time.monotonic()
        try:
            problems = self._verify(found) if found.path not in self._sealed else []
            manifest = None if problems else self._seal(found, began)
        except FileNotFoundError:
            logger.info("%s was removed while it was read (an older state makes room for a newer one)", found.path)
            return
        except OSError as error:
            if not says_full(error):
                raise
            self._wait_for_room(found.path, error, last=last)
            return
        self._short = False
        if manifest is not None:
            self._name(found.path, found, manifest.total_bytes, verified=True)
            return
        self.problems[found.path] = problems
        logger.error("%s is no checkpoint: %s", self.plan.uri_of(found.path), "; ".join(problems))
        aside = self.keeper.quarantine(found.path, "; ".join(problems), kind=found.kind, step=found.step)
        self._name(aside, found, size_below(aside), verified=False)

    def _verify(self, found: FoundCheckpoint) -> list[str]:
        return self.plan.verifiers[found.kind](found.path, self.run.model_dir) if found.kind != "full-state" else []

    def _seal(self, found: FoundCheckpoint, began: float) -> Manifest:
        """Hashed here, beside the training: the ranks do not wait for it. It counts once the store holds it, where there is one.

        Another look may have to try the later half of it again.
        """
        if found.path not in self._sealed:
            manifest = write_manifest(found.path, self._manifest(found), self.plan.backend.distributions)
            self._sealed[found.path] = manifest, time.monotonic() - began
        manifest, seconds = self._sealed[found.path]
        if self._uploads is not None:
            manifest = self._uploads.upload(found, manifest)
        if self.plan.judges:
            self._count(found, manifest, seconds)
        return manifest

    def _count(self, found: FoundCheckpoint, manifest: Manifest, seconds: float) -> None:
        if not self.keeper.seal(found.path, manifest, seconds, found.seconds):
            self._give_way()
            return
        gone = self._uploads.retire() if self._uploads else self.keeper.retire(self.earlier, self.run.output_dir)
        if gone is None:
            self._give_way()
            return
        with self._lock:
            self._found = {path: checkpoint for path, checkpoint in self._found.items() if path not in gone}

    def _give_way(self) -> None:
        """A lost node's containers run on: who was followed by a later attempt has no more to do."""
        if self._gave_way:
            return
        self._gave_way = True
        logger.error("a later attempt than %d has begun: this one ends", self.plan.attempt)
        stop = self.plan.backend.stop_file(self.run)
        if stop is not None:
            stop.touch()

    def _wait_for_room(self, path: Path, error: OSError, *, last: bool) -> None:
        """A manifest is a few kB: it is tried again at each look, and only the last one must not fail."""
        short = full_disk(f"the manifest of {path.name} could not be written", path)
        if last:
            raise short from error
        if not self._short:
            logger.warning("%s; it is tried again, training goes on", short)
        self._short = True

    def _name(self, path: Path, found: FoundCheckpoint, size: int, *, verified: bool) -> None:
        checkpoint = Checkpoint(
            uri=self.plan.uri_of(path),
            step=found.step,
            epoch=found.epoch,
            bytes=size,
            kind=found.kind,
            verified=verified,
            time=datetime.now(UTC),
        )
        with self._lock:
            self._found[path] = checkpoint

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
