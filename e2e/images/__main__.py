"""python -m e2e.images [NAME ...]: builds images into the cache, by default those that `make e2e` runs; says how large they are."""

from __future__ import annotations

import sys

from e2e.cluster.nodes.cluster import require_programs
from e2e.images.builder import LAYOUT, ensure
from e2e.images.catalogue import BASE, FOR_TESTS, IMAGES, Image


def main() -> int:
    names = sys.argv[1:] or [image.name for image in FOR_TESTS]
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such image; there are {', '.join(IMAGES)}")
    require_programs()
    wanted = [IMAGES[name] for name in names]
    ensure(wanted)
    for image in wanted:
        print(f"{image.reference}\t{packed_megabytes(image):.0f} MB packed, {own_layers_megabytes(image):.0f} MB without its base")
    return 0


def packed_megabytes(image: Image) -> float:
    return float(sum(layer["size"] for layer in LAYOUT.manifest(image.key)["layers"])) / 1e6


def own_layers_megabytes(image: Image) -> float:
    """Packed, too: what a node pulls that has the base."""
    base = {layer["digest"] for layer in LAYOUT.manifest(BASE.key)["layers"]} if LAYOUT.find(BASE.key) else set()
    return float(sum(layer["size"] for layer in LAYOUT.manifest(image.key)["layers"] if layer["digest"] not in base)) / 1e6


if __name__ == "__main__":
    sys.exit(main())
