"""What `report` and `checkpoints` are pointed at: a directory, a job of the embedded cluster or of a real one, a resource."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kubetune.api import InvalidJob, Job, parse_job
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
class Where:
    """Where a job is looked for: in the state directory, and then on the cluster that kubectl would ask."""

    state_dir: str = ".kubetune"
    namespace: str | None = None
    local: bool = False
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def root(self) -> Path:
        return Path(self.state_dir)

    @property
    def here(self) -> bool:
        """Whether the state directory is asked: a cluster that is named is meant."""
        return not (self.kubeconfig or self.context)


@dataclass(frozen=True)
class Target:
    """`directory`: None where none is known, or nothing was written yet."""

    name: str
    job: Manifest | None = None
    directory: Path | None = None

    @property
    def in_store(self) -> bool:
        """Whether the checkpoints are in an object store, where these commands do not look."""
        return self.job is not None and str(self.job["spec"]["output"]["uri"]).startswith("s3://")

    @property
    def elsewhere(self) -> str:
        """Where the files of a job lie of which the resource alone is known; empty for others."""
        if self.job is None or self.directory is not None:
            return ""
        output = str(self.job["spec"]["output"]["uri"])
        with suppress(InvalidJob):
            return f"{output.rstrip('/')}/{output_subdir(parsed(self.job))}"
        return output


def find_target(text: str, where: Where, given_dir: str | None) -> Target:
    """Raises UserError: there is no such thing, with what there is."""
    given = checked(Path(given_dir), "--output-dir") if given_dir else None
    path = Path(text)
    if text == "-" or path.is_file():
        return of_file(text, where, given)
    if path.is_dir():
        return of_directory(path, given)
    return of_name(text, where, given)


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


def of_file(text: str, where: Where, given: Path | None) -> Target:
    """A resource with its status, as `kubectl get -o yaml` prints it; or a job file, whose job is looked for."""
    job = read_job(text).job
    metadata = job.get("metadata") or {}
    if metadata.get("uid"):
        return Target(metadata["name"], job, given)
    named = where if where.namespace else replace(where, namespace=metadata.get("namespace"))
    return of_name(f"{str(job.get('kind', '')).lower()}/{metadata.get('name', '')}", named, given)


def of_name(text: str, where: Where, given: Path | None) -> Target:
    """NAME or KIND/NAME."""
    kind, slash, name = text.rpartition("/")
    kinds = [known for known in KINDS if not slash or known.startswith(kind.lower().removesuffix("s") or "-")]
    job = of_state_dir(text, kinds, name, where) if where.here else None
    if job is not None:
        return Target(name, job, given or directory_of(job, StateDir(where.root.absolute())))
    return Target(name, on_cluster(text, kinds, name, where), given)


def of_state_dir(text: str, kinds: Sequence[str], name: str, where: Where) -> Manifest | None:
    """The job of a `kubetune run`; None where there is none of that name."""
    files = [where.root / "resources" / kind / (where.namespace or "default") / f"{name}.json" for kind in kinds]
    found = [file for file in files if file.is_file()]
    if len(found) > 1:
        raise UserError(f"{text!r} is an SFTJob and an OSFTJob; write sftjob/{name} or osftjob/{name}")
    job: Manifest | None = json.loads(found[0].read_text()) if found else None
    return job


def on_cluster(text: str, kinds: Sequence[str], name: str, where: Where) -> Manifest:
    """As `kubectl get` prints it. Raises UserError."""
    namespace = where.namespace or "default"
    nothing = f"there is no job {text!r} in namespace {namespace} of {where.root}, and no such directory"
    nothing = f"{nothing}; there is: {listed(where.root)}"
    if where.local or not kinds:
        raise UserError(nothing)
    from kubetune.client import Client, ClientError  # with it comes the Kubernetes client, which takes half a second

    try:
        with Client(where.kubeconfig, context=where.context, namespace=where.namespace) as client:
            return client.get(f"{kinds[0]}/{name}" if len(kinds) == 1 else name).manifest
    except ClientError as error:
        raise UserError(f"{nothing}. On a cluster: {error}" if where.here else str(error)) from error


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
        known = parsed(job)
    except InvalidJob as error:
        raise UserError(f"the stored job cannot be read: {error}; name its directory instead") from error
    path = Path(output_dir(known.spec.output.uri, output_subdir(known), render_settings(state)))
    path = path / NODE if (path / NODE).is_dir() else path
    return path if path.is_dir() else None


def parsed(job: Manifest) -> Job:
    """Raises InvalidJob."""
    return parse_job({key: value for key, value in job.items() if key != "status"})
