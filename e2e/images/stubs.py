"""Stubs of CUDA's libraries, so that a torch built for CUDA can be imported on a CPU without 4 GB of them.

Each has the name and the symbol versions that torch's own libraries are linked against; every function returns 999, CUDA's "unknown
error". libcudart is the real one: torch calls it when it is imported. For tests alone: the product's image has the real libraries.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

LOADED_LATER = ("libcusolver.so", "libnvJitLink.so", "libnvrtc-builtins.so")
"""Not linked against: opened by name when torch is imported."""

EXTENSIONS = "linalg"
"""torch's own library of this name is opened only where there is a GPU."""


def write(site_packages: Path, target: Path) -> None:
    """Into the same places below `target` as the real ones have below `site_packages`. Needs gcc and readelf."""
    torch = [file for file in (site_packages / "torch/lib").glob("*.so") if EXTENSIONS not in file.name]
    wanted = {name for file in torch for section, name, _ in symbols(file) if section == "UND"}
    needed = {library for file in torch for library in linked(file)}
    for library in sorted((site_packages / "nvidia").rglob("lib*.so*")):
        if library.is_file() and (library.name in needed or library.name.startswith(LOADED_LATER)):
            place = target / library.relative_to(site_packages)
            place.parent.mkdir(parents=True, exist_ok=True)
            if library.name.startswith("libcudart"):
                shutil.copy2(library, place)
            else:
                compile_stub(place, exported(library, wanted))


def exported(library: Path, wanted: set[str]) -> dict[str, set[str]]:
    """The wanted functions of the library by symbol version; "" for those without one."""
    by_version: dict[str, set[str]] = defaultdict(set)
    for section, name, symbol_version in symbols(library):
        if section not in ("UND", "ABS") and name in wanted:
            by_version[symbol_version].add(name)
    return by_version


def compile_stub(place: Path, functions: dict[str, set[str]]) -> None:
    names = sorted(set().union(*functions.values()))
    source, versions = place.with_suffix(".c"), place.with_suffix(".versions")
    source.write_text("".join(f"int {name}(void) {{ return 999; }}\n" for name in names))
    tagged = {tag: sorted(members) for tag, members in functions.items() if tag}
    versions.write_text("".join(f"{tag} {{ global: {'; '.join(members)}; }};\n" for tag, members in tagged.items()))
    script = [f"-Wl,--version-script={versions}"] if tagged else []
    flags = ["-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{place.name}", *script]
    subprocess.run(["gcc", *flags, "-o", place, source], check=True)
    source.unlink()
    versions.unlink()


def symbols(library: Path) -> Iterator[tuple[str, str, str]]:
    """(section, name, version) of each global symbol."""
    for line in read_elf("--dyn-syms", library).splitlines():
        parts = line.split()
        if len(parts) >= 8 and parts[4] in ("GLOBAL", "WEAK"):
            name, _, symbol_version = parts[7].partition("@")
            yield parts[6], name, symbol_version.lstrip("@")


def linked(library: Path) -> list[str]:
    return re.findall(r"NEEDED.*\[(.*)\]", read_elf("--dynamic", library))


def read_elf(what: str, library: Path) -> str:
    return subprocess.check_output(["readelf", "--wide", what, str(library)], text=True)
