"""A run's output in a store: what the run wrote to its own directory, uploaded while training goes on.

A checkpoint counts when its manifest is there, which is written last and removed first. The local directory mirrors the store:
`local` is `root`, and earlier attempts, beside it, lie beside it here too once they were brought.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from kubetune_trainer.checkpoints.last_good import number_of
from kubetune_trainer.checkpoints.manifest import File, Manifest, text_of
from kubetune_trainer.checkpoints.resume import Choice, Fit, Rejected, choose, other_size, unfit
from kubetune_trainer.contract import MANIFEST_NAME, FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.download import bring, wanted
from kubetune_trainer.storage.errors import NOT_FOUND, StoreError, explain, unreachable
from kubetune_trainer.storage.location import Location, parse
from kubetune_trainer.storage.settings import StoreSettings
from kubetune_trainer.storage.upload import Uploader, abort_begun

log = logging.getLogger(__name__)

FIELD = "ckpt_output_dir"
PROBE = ".kubetune-probe-"
BEGAN = ".kubetune-began"
"""Tells an earlier attempt, whose containers may run on, that it was followed."""
AWAITING = "Awaiting"
BACKGROUND_PATIENCE = 30.0  # seconds for a request while training goes on: the next look tries again
WAIT_FOR_A_LOST_NODE = 15.0  # seconds: the gang failed, and its nodes may be gone
LOOK_AGAIN_SECONDS = 0.5

NODES_OWN = frozenset({"kubetune-state.json"})
"""What every node writes beside its shards, to mark a state as whole; the first node's is the one that is kept."""


@dataclass
class OutputStore:
    """One for each run and node. Methods raise StoreError unless they say otherwise."""

    root: Location  # of this attempt, or of this call of the library
    local: Path
    settings: StoreSettings
    node: int = 0
    nodes: int = 1
    _wait_for_nodes: float = 0.0
    _uploader: Uploader = field(init=False)
    _background: Client = field(init=False)
    _last: Client = field(init=False)

    def __post_init__(self) -> None:
        self._uploader = Uploader(self.settings.part_bytes)
        self._background = Client(min(BACKGROUND_PATIENCE, self.settings.patience_seconds))
        self._last = Client(self.settings.patience_seconds)

    @property
    def first(self) -> bool:
        """Whether this node seals: the others only upload what they wrote."""
        return self.node == 0

    def hurry(self, *, all_saved: bool) -> None:
        """Interrupts what is uploaded in the background: from now on only calls with `last` go on.

        `all_saved`: every node ended by saving, so that its part is worth to be waited for.
        """
        self._background.stop.set()
        self._wait_for_nodes = self.settings.patience_seconds if all_saved else WAIT_FOR_A_LOST_NODE

    @property
    def hurried(self) -> bool:
        return self._background.stop.is_set()

    def prepare(self) -> None:
        """Proves that the output can be written, and that no other run wrote there.

        Raises:
            ConfigurationError: it cannot.
            TrainingError: the store cannot be reached, or another run of this attempt wrote there.

        """
        probe = self.root.below(f"{PROBE}{self.node}")
        try:
            self._last.put(probe, b"", hashlib.sha256(b"").hexdigest())
            self._last.delete(probe.bucket, [probe.key])
            strangers = [each.key for each in self._last.below(self.root) if not own(each.key)] if self.first else []
            if self.first and number_of(self.local.name) is not None:
                self._last.put(self.root.below(BEGAN), b"", hashlib.sha256(b"").hexdigest())
            if self.first:
                abort_begun(self._last, self._family, lambda key: key.startswith(self.root.prefix))
        except StoreError as error:
            explain(FIELD, self.root.uri, error)
        if strangers:
            message = f"{self.root.uri} already holds {', '.join(strangers[:5])}: another run of this attempt wrote there"
            raise TrainingError(FailureClass.BACKEND_ERROR, f"{message}; the next attempt writes to a place of its own")

    def followed(self) -> bool:
        """Whether a later attempt of the same job has begun. A call of the library is never followed: each has a run of its own."""
        number = number_of(self.local.name)
        if number is None:
            return False
        others = map(number_of, self._background.folders(self._family))
        return any(other is not None and other > number for other in others)

    @property
    def _family(self) -> Location:
        """What holds this run and its earlier attempts."""
        return Location(self.root.bucket, self.root.key.rpartition("/")[0])

    def location_of(self, path: Path) -> Location:
        return self._family.below(*path.relative_to(self.local.parent).parts)

    def path_of(self, location: Location) -> Path:
        """Where it lies on this disk, if it does; of what lies in the same family."""
        return self.local.parent / location.key.removeprefix(self._family.prefix)

    def seal(self, directory: Path, manifest: Manifest, *, last: bool = False) -> Manifest:
        """Uploads the checkpoint, checks that the store holds it all, and puts the manifest beside it, which reads back.

        `manifest`: of the files on this node; those that the other nodes told of are in the one returned. `last`: training
        is over, so the store is waited for with all patience. Raises OSError as well, if a file is gone.
        """
        client, target = self._client(last=last), self.location_of(directory)
        self._send(client, directory, target, manifest.files)
        files = merged(
            manifest.files, *(self._files_of(client, target, node, manifest, last=last) for node in self._others(manifest))
        )
        sizes = {name: each.bytes for name, each in wanted(client.below(target), target).items()}
        if torn := [file.path for file in files if sizes.get(file.path) != file.bytes]:
            raise StoreError("NotThere", f"{target.uri} lacks {', '.join(torn[:5])}", passing=True)
        complete = manifest.model_copy(update={"files": files})
        self._put(client, target.below(MANIFEST_NAME), complete)
        log.info("%s is uploaded: %d files, %d bytes", target.uri, len(files), complete.total_bytes)
        return complete

    def share(self, directory: Path, manifest: Manifest, *, last: bool = False) -> None:
        """Uploads what this node, not the first, wrote of a full state, and tells the first node of it."""
        client, target = self._client(last=last), self.location_of(directory)
        own = manifest.model_copy(update={"files": tuple(file for file in manifest.files if file.path not in NODES_OWN)})
        self._send(client, directory, target, own.files)
        self._put(client, target.below(part_name(self.node)), own)

    def remove(self, directory: Path) -> None:
        """The manifest first: what is half removed counts no more."""
        target, client = self.location_of(directory), self._background
        client.delete(target.bucket, [target.below(MANIFEST_NAME).key])
        client.delete(target.bucket, [each.key for each in client.below(target)])

    def choose(self, candidates: Iterable[str], fit: Fit) -> Choice:
        """The first full state that has a manifest, fits and is whole once it was brought; every node comes to the same choice.

        Raises:
            TrainingError: the store cannot be reached: another node may have reached it.

        """
        rejected: list[Rejected] = []
        for uri in candidates:
            try:
                choice = self._fetched(uri, fit)
            except StoreError as error:
                raise unreachable("resume_from", uri, error) from error
            except OSError as error:
                explain("resume_from", uri, error)
            if choice.path is not None:
                return replace(choice, rejected=tuple(rejected))
            rejected += choice.rejected
        return Choice(rejected=tuple(rejected))

    def _fetched(self, uri: str, fit: Fit) -> Choice:
        """Of that one candidate, which lies on this disk afterwards."""
        for _ in range(2):  # what an earlier process left on this disk may be damaged: then the store's is brought
            path = self._bring(uri, fit)
            if isinstance(path, Rejected):
                return Choice(rejected=(path,))
            choice = choose([str(path)], fit)
            if choice.path is not None:
                return choice
            shutil.rmtree(path)
        return Choice(rejected=tuple(replace(each, path=uri) for each in choice.rejected))

    def _bring(self, uri: str, fit: Fit) -> Path | Rejected:
        """The state as a local directory, or why it is none."""
        location = parse("resume_from", uri)
        if not location.key.startswith(self._family.prefix) or location.bucket != self.root.bucket:
            return Rejected(uri, f"does not lie below {self._family.uri}")
        manifest = self.manifest_of(location)
        if isinstance(manifest, str):
            return Rejected(uri, manifest, damaged=True)
        if problem := unfit(manifest, fit):
            return Rejected(uri, problem)
        there = wanted(self._last.below(location), location)
        names = {file.path: file.bytes for file in manifest.files}
        if torn := [name for name, size in names.items() if name not in there or there[name].bytes != size]:
            return Rejected(uri, f"lacks {', '.join(torn[:5])}, or holds another file of that name", damaged=True)
        if resized := other_size(uri, manifest, fit):
            return resized
        target = self.path_of(location)
        bring(self._last, location.bucket, {name: there[name] for name in names}, target, self.settings.part_bytes)
        (target / MANIFEST_NAME).write_text(text_of(manifest))
        return target

    def manifest_of(self, location: Location, client: Client | None = None) -> Manifest | str:
        """The manifest of a checkpoint in the store, or what is wrong with it."""
        try:
            return Manifest.model_validate_json((client or self._last).read(location.below(MANIFEST_NAME)))
        except ValidationError as error:
            return f"{MANIFEST_NAME} cannot be read: {str(error).splitlines()[0]}"
        except StoreError as error:
            if error.code in NOT_FOUND:
                return f"has no {MANIFEST_NAME}: its upload was not finished"
            raise

    def read(self, location: Location) -> bytes | None:
        """A small object's content; None: it is not there."""
        try:
            return self._last.read(location)
        except StoreError as error:
            if error.code in NOT_FOUND:
                return None
            raise

    def write(self, name: str, text: str) -> None:
        """A small object of this run's own."""
        content = text.encode()
        self._last.put(self.root.below(name), content, hashlib.sha256(content).hexdigest())

    def leave(self, name: str, text: str) -> None:
        """As `write`, once training is over, of what nothing depends on: tried once, and told in the log where it fails."""
        content = text.encode()
        try:
            self._background.put(self.root.below(name), content, hashlib.sha256(content).hexdigest())
        except StoreError as error:
            log.warning("%s is not in the store: %s", self.root.below(name).uri, error)

    def runs_beside(self) -> list[Location]:
        """The newest name first.

        Raises:
            ConfigurationError, TrainingError: the store did not answer, or not as it should.

        """
        try:
            names = sorted(self._last.folders(self._family), reverse=True)
        except StoreError as error:
            explain(FIELD, self._family.uri, error)
        return [self._family.below(name) for name in names if name != self.local.name]

    def sealed(self, run: Location, *, last: bool = False) -> list[tuple[Manifest, Path]]:
        """The checkpoints of that run that count, by the path that stands for each."""
        client, ending = self._client(last=last), f"/{MANIFEST_NAME}"
        keys = [each.key for each in client.below(run) if each.key.endswith(ending)]
        places = [Location(run.bucket, key.removesuffix(ending)) for key in keys]
        found = [(self.manifest_of(place, client), self.path_of(place)) for place in places]
        return [(manifest, path) for manifest, path in found if isinstance(manifest, Manifest)]

    def _client(self, *, last: bool) -> Client:
        return self._last if last else self._background

    def _send(self, client: Client, directory: Path, target: Location, files: Iterable[File]) -> None:
        for file in files:
            self._uploader.send(client, directory / file.path, target.below(*file.path.split("/")), file.sha256)

    def _put(self, client: Client, target: Location, manifest: Manifest) -> None:
        text = text_of(manifest).encode()
        client.put(target, text, hashlib.sha256(text).hexdigest())
        if client.read(target) != text:
            raise StoreError("NotThere", f"{target.uri} does not read back as it was written", passing=True)

    def _others(self, manifest: Manifest) -> range:
        """The nodes beside the first that hold a part of it: weights are the first node's alone."""
        return range(1, self.nodes if manifest.kind == "full-state" else 1)

    def _files_of(self, client: Client, target: Location, node: int, manifest: Manifest, *, last: bool) -> tuple[File, ...]:
        deadline = time.monotonic() + (self._wait_for_nodes if last else 0)
        while True:
            try:
                part = Manifest.model_validate_json(client.read(target.below(part_name(node))))
            except StoreError as error:
                if error.code not in NOT_FOUND:
                    raise
                if time.monotonic() >= deadline:
                    raise StoreError(AWAITING, f"node {node} has not uploaded its part of {target.uri}", passing=True) from error
                time.sleep(LOOK_AGAIN_SECONDS)
                continue
            if part.step != manifest.step:
                raise StoreError("Conflict", f"node {node}'s part of {target.uri} is of step {part.step}", passing=False)
            return part.files


def own(key: str) -> bool:
    """Whether this run's nodes put it there before they trained."""
    return PROBE in key or key.endswith(BEGAN)


def merged(*nodes: Iterable[File]) -> tuple[File, ...]:
    """All nodes' files by path. Raises StoreError if two nodes wrote one file differently: one of them is overwritten."""
    found: dict[str, File] = {}
    for file in (file for files in nodes for file in files):
        if found.setdefault(file.path, file) != file:
            raise StoreError("Conflict", f"two nodes wrote {file.path}, and differently", passing=False)
    return tuple(found[name] for name in sorted(found))


def part_name(node: int) -> str:
    return f"{MANIFEST_NAME}.node-{node}"
