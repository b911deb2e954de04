"""Writes again what is generated from the models: crds/*.yaml. With --check it writes nothing and fails on a difference."""

from __future__ import annotations

import sys
from pathlib import Path

from kubetune.api.crd import crd_yaml, file_name
from kubetune.api.job import KINDS

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Every generated file with its content."""
    return {ROOT / "crds" / file_name(kind): crd_yaml(kind) for kind in KINDS}


def stale(files: dict[Path, str]) -> list[Path]:
    """Files whose content differs from what would be generated, and files beside them that nothing generates."""
    differing = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    strangers = [
        path for folder in {each.parent for each in files} if folder.exists() for path in folder.iterdir() if path not in files
    ]
    return sorted([*differing, *strangers])


def main(arguments: list[str]) -> int:
    files = generated()
    if "--check" in arguments:
        for path in stale(files):
            print(f"{path.relative_to(ROOT)} is not what scripts/generate.py makes: run it and commit the result", file=sys.stderr)
        return 1 if stale(files) else 0
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
