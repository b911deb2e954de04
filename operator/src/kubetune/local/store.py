"""The embedded cluster's API server: objects in memory, each kept as one JSON file."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kubetune.cluster import ClusterError, Manifest
from kubetune.local.state import write_atomically

Key = tuple[str, str, str]


class Store:
    """Objects by kind, namespace and name. Callers get copies and put whole objects back; each change raises resourceVersion."""

    def __init__(self, root: Path) -> None:
        """Reads what an earlier process left below `root`. Raises ValueError if a file of it is damaged."""
        self._root = root
        self._objects: dict[Key, Manifest] = {}
        for file in sorted(root.glob("*/*/*.json")):
            with suppress(FileNotFoundError):  # another process's, and deleted meanwhile
                manifest = _read(file)
                self._objects[_key(manifest)] = manifest
        self.version = max((int(o["metadata"]["resourceVersion"]) for o in self._objects.values()), default=0)
        """The last resourceVersion that was given: it differs as soon as anything changed."""

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return copy.deepcopy(self._objects.get((kind, namespace, name)))

    def select(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """Objects of a kind that carry all of `labels`, by name."""
        found = [o for (k, ns, _), o in sorted(self._objects.items()) if k == kind and namespace in (None, ns)]
        return [copy.deepcopy(o) for o in found if (labels or {}).items() <= o["metadata"].get("labels", {}).items()]

    def put(self, manifest: Manifest) -> Manifest:
        """Stores the object and returns it as stored; an object equal to the stored one changes nothing.

        Raises:
            ClusterError: 409, the object carries a resourceVersion that is not the stored one.

        """
        key = _key(manifest)
        stored = self._objects.get(key)
        given = manifest["metadata"].get("resourceVersion")
        if given is not None and (stored is None or given != stored["metadata"]["resourceVersion"]):
            raise ClusterError(f"{key[0]} {key[2]} was changed since it was read", status=409)
        if manifest == stored:
            return copy.deepcopy(manifest)
        self.version += 1
        manifest = copy.deepcopy(manifest)
        manifest["metadata"]["resourceVersion"] = str(self.version)
        write_atomically(self._file(key), json.dumps(manifest, indent=2) + "\n")
        self._objects[key] = manifest
        return copy.deepcopy(manifest)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Absent already: no error."""
        if self._objects.pop((kind, namespace, name), None) is not None:
            self.version += 1
            self._file((kind, namespace, name)).unlink(missing_ok=True)

    def _file(self, key: Key) -> Path:
        kind, namespace, name = key
        return self._root / kind.lower() / namespace / f"{name}.json"


def stored(root: Path, kind: str, namespace: str, name: str) -> Manifest | None:
    """One object as it is on the disk now, whichever process keeps it."""
    try:
        return _read(root / kind.lower() / namespace / f"{name}.json")
    except FileNotFoundError:
        return None


def _read(file: Path) -> Manifest:
    try:
        manifest: Manifest = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); delete it, or use another --state-dir") from error
    return manifest


def _key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", "default"), metadata["name"]
