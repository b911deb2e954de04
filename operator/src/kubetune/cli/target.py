"""What `report` and `checkpoints` are pointed at: a directory, a job of the embedded cluster, a resource as kubectl prints it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetune.api import InvalidJob, parse_job
from kubetune.api.identity import output_subdir
from kubetune.cli.documents import read_job
from kubetune.cli.errors import UserError
from kubetune.cluster import Manifest
from kubetune.local.state import StateDir
from kubetune.report.sources import holds_a_run

KINDS = ("sftjob", "osftjob")
NODE = "node-0"
"""Of an output in a store: each node has a directory of its own, and the first one's has the ledger."""


@dataclass(frozen=True)
class Target:
    """`directory`: None where none is known, or nothing was written yet."""

    name: str
    job: Manifest | None = None
    directory: Path | None = None


def find_target(text: str, state_dir: str, namespace: str, given_dir: str | None) -> Target:
    """Raises UserError: there is no such thing, with what there is."""
    given = checked(Path(given_dir), "--output-dir") if given_dir else None
    path = Path(text)
    if text == "-" or path.is_file():
        return of_file(text, state_dir, given)
    if path.is_dir():
        return of_directory(path, given)
    return of_name(text, Path(state_dir), namespace, given)


def of_directory(path: Path, given: Path | None) -> Target:
    if (path / "resources").is_dir() and (path / "volumes").is_dir():
        raise UserError(f"{path} is a state directory; name one of its jobs: {listed(path)} (and --state-dir {path})")
    return Target(path.resolve().name, directory=given or checked(path, "DIR"))


def checked(path: Path, named: str) -> Path:
    if not path.is_dir():
        raise UserError(f"{named} {path}: no such directory")
    if not holds_a_run(path):
        below = next((each for each in sorted(path.iterdir()) if each.is_dir() and holds_a_run(each)), None)
        above = path.parent if holds_a_run(path.parent) else None
        remedy = f"; did you mean {above or below}?" if above or below else "; name the directory that holds kubetune-ledger.jsonl"
        raise UserError(f"{named} {path} holds no run{remedy}")
    return path


def of_file(text: str, state_dir: str, given: Path | None) -> Target:
    """A resource with its status, as `kubectl get -o yaml` prints it; or a job file, whose job was run here."""
    job = read_job(text).job
    metadata = job.get("metadata") or {}
    if metadata.get("uid"):
        return Target(metadata["name"], job, given)
    kind, namespace = str(job.get("kind", "")).lower(), metadata.get("namespace", "default")
    return of_name(f"{kind}/{metadata.get('name', '')}", Path(state_dir), namespace, given)


def of_name(text: str, root: Path, namespace: str, given: Path | None) -> Target:
    """NAME or KIND/NAME."""
    kind, _, name = text.rpartition("/")
    kinds = [known for known in KINDS if not kind or known.startswith(kind.lower().removesuffix("s"))]
    files = [root / "resources" / known / namespace / f"{name}.json" for known in kinds]
    found = [file for file in files if file.is_file()]
    if not found:
        raise UserError(
            f"there is no job {text!r} in namespace {namespace} of {root}, and no such directory; there is: {listed(root)}"
        )
    if len(found) > 1:
        raise UserError(f"{text!r} is an SFTJob and an OSFTJob; write sftjob/{name} or osftjob/{name}")
    job = json.loads(found[0].read_text())
    return Target(name, job, given or directory_of(job, StateDir(root.absolute())))


def listed(root: Path) -> str:
    """The jobs of a state directory, as they can be named."""
    files = [file for kind in KINDS for file in sorted((root / "resources" / kind).glob("*/*.json"))]
    names = [f"{file.parts[-3]}/{file.stem}" + f" -n {file.parts[-2]}" * (file.parts[-2] != "default") for file in files]
    return ", ".join(names) or f"nothing (--state-dir names where `kubetune run` keeps its jobs; this was {root})"


def directory_of(job: dict[str, Any], state: StateDir) -> Path | None:
    """Where the job writes; None before it has."""
    from kubetune.local.settings import render_settings  # a second of imports, which a directory that is named does not need
    from kubetune.render.paths import output_dir

    try:
        parsed = parse_job({key: value for key, value in job.items() if key != "status"})
    except InvalidJob as error:
        raise UserError(f"the stored job cannot be read: {error}; name its directory instead") from error
    path = Path(output_dir(parsed.spec.output.uri, output_subdir(parsed), render_settings(state)))
    path = path / NODE if (path / NODE).is_dir() else path
    return path if path.is_dir() else None
