"""Claims and ConfigMaps of the embedded cluster: directories below the state directory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from kubetune.local.state import StateDir, write_atomically

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def bind_claim(state: StateDir, claim: str, directory: Path | None = None) -> Path:
    """The claim's directory: made if it is new, a link to `directory` if that is given.

    Raises:
        ValueError: the name is none, `directory` is no directory, or the claim holds files of its own that a link would hide.

    """
    path = state.volumes / checked_name(claim)
    if directory is None:
        path.mkdir(parents=True, exist_ok=True)
        return path
    if not directory.is_dir():
        raise ValueError(f"--volume {claim}={directory}: no such directory; make it, or name another")
    if path.is_dir() and not path.is_symlink():
        if any(path.iterdir()):
            raise ValueError(
                f"--volume {claim}={directory}: the claim already holds files in {path}; move them, or use another name"
            )
        path.rmdir()
    path.unlink(missing_ok=True)
    path.symlink_to(directory.resolve())
    return path


def write_configmap(state: StateDir, name: str, data: Mapping[str, str]) -> None:
    """Replaces the ConfigMap: keys that are gone are removed."""
    folder = state.configmaps / checked_name(name)
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for key, value in data.items():
        write_atomically(folder / checked_key(key), value)


def bind_configmap(state: StateDir, name: str, directory: Path) -> None:
    """The files of a directory as a ConfigMap's keys. Raises ValueError as bind_claim does."""
    if not directory.is_dir():
        raise ValueError(f"--config-map {name}={directory}: no such directory; make it, or name another")
    folder = state.configmaps / checked_name(name)
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    folder.unlink(missing_ok=True)
    folder.symlink_to(directory.resolve())


def checked_name(name: str) -> str:
    """The name, if it is a DNS subdomain as Kubernetes asks (and so no way out of the state directory)."""
    if not NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{name!r} is no name of a claim or ConfigMap; use lower-case letters, digits, '-' and '.'")
    return name


def checked_key(key: str) -> str:
    """The key, if it is one of a ConfigMap."""
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", key) or key in (".", ".."):
        raise ValueError(f"{key!r} is no key of a ConfigMap; use letters, digits, '-', '_' and '.'")
    return key
