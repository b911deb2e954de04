"""An OCI image layout: a folder of blobs by digest, which several images share.

Source: the OCI image specification, image-layout.md.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

REF = "org.opencontainers.image.ref.name"
Descriptor = dict[str, Any]
"""mediaType, digest and size of a blob."""


@dataclass(frozen=True)
class Layout:
    """The folder; an image in it is found by its reference name."""

    folder: Path

    def find(self, ref: str) -> Descriptor | None:
        """The image's manifest, or None."""
        index = self.folder / "index.json"
        manifests = json.loads(index.read_text())["manifests"] if index.exists() else []
        return next((each for each in manifests if each.get("annotations", {}).get(REF) == ref), None)

    def blob(self, descriptor: Descriptor) -> Path:
        return self.folder / "blobs" / str(descriptor["digest"]).replace(":", "/")

    def manifest(self, ref: str) -> dict[str, Any]:
        """Raises KeyError if the image is not there."""
        descriptor = self.find(ref)
        if descriptor is None:
            raise KeyError(f"{ref} is not in {self.folder}")
        return dict(json.loads(self.blob(descriptor).read_text()))

    def config(self, ref: str) -> dict[str, Any]:
        """User, environment, labels, and the digests of the layers as unpacked."""
        return dict(json.loads(self.blob(self.manifest(ref)["config"]).read_text()))

    def write(self, ref: str, name: str, stream: IO[bytes], present: Collection[str]) -> None:
        """The image as a tar of a layout for containerd, which then knows it as `name`; blobs that it has (`present`) stay out."""
        descriptor, manifest = self.find(ref), self.manifest(ref)
        named = {**(descriptor or {}), "annotations": {"io.containerd.image.name": name}}
        with tarfile.open(fileobj=stream, mode="w|", bufsize=1 << 20) as out:
            add(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            add(out, "index.json", json.dumps({"schemaVersion": 2, "manifests": [named]}).encode())
            for each in (named, manifest["config"], *manifest["layers"]):
                if each["digest"] not in present:
                    out.add(self.blob(each), f"blobs/{each['digest'].replace(':', '/')}")


def add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    out.addfile(entry, io.BytesIO(content))
