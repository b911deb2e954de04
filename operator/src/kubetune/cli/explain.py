"""`kubetune explain`: finds the job, reads what there is about it, and prints the findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import yaml

from kubetune.api import KINDS
from kubetune.cli.documents import read_documents
from kubetune.cli.errors import UserError
from kubetune.cli.sources import Found, Wanted, as_user_errors, from_cluster, from_state_dir
from kubetune.cluster import Manifest
from kubetune.explain import Commands, Finding, Seen, Severity, evidence_of, explain

COLOURS = {
    Severity.BLOCKED: "red",
    Severity.FAILED: "red",
    Severity.WAITING: "yellow",
    Severity.SLOW: "yellow",
    Severity.FINE: "green",
}
NOBODY, SOMEBODY = 0, 1


@dataclass(frozen=True)
class Options:
    """The command line, as click has checked it."""

    target: str
    output: str
    namespace: str | None
    state_dir: str
    local: bool
    kubeconfig: str | None
    context: str | None


@dataclass(frozen=True)
class Named:
    """The job that is asked about."""

    kind: str | None
    namespace: str | None
    name: str
    file: str | None = None
    document: Manifest | None = None


def explain_target(options: Options) -> int:
    """Prints why; the exit code says whether somebody must act."""
    named = named_by(options)
    found = find(named, options)
    metadata = found.seen.job.get("metadata") or {}
    commands = Commands(
        str(found.seen.job.get("kind", "")),
        str(metadata.get("namespace", "default")),
        str(metadata.get("name", "")),
        found.state_dir,
        named.file if named.file != "-" else None,
    )
    findings = explain(evidence_of(found.seen, datetime.now(UTC)), commands)
    tell(commands, found, findings, options.output)
    return SOMEBODY if any(each.severity.needs_somebody for each in findings) else NOBODY


def named_by(options: Options) -> Named:
    """A file that is there is a file; everything else is a name."""
    if options.target == "-" or Path(options.target).is_file():
        return named_in(options.target, options)
    kind, slash, name = options.target.rpartition("/")
    if not slash:
        return Named(None, options.namespace, name)
    if options.target.endswith((".yaml", ".yml", ".json")):
        raise UserError(f"{options.target} does not exist; check the path, or write a job's name")
    from kubetune.client.targets import kind_named  # with it comes the Kubernetes client, which takes a second

    with as_user_errors():
        return Named(kind_named(kind), options.namespace, name)


def named_in(file: str, options: Options) -> Named:
    jobs = [each for each in read_documents(file) if each.get("kind") in KINDS]
    if len(jobs) != 1:
        raise UserError(f"{file} holds {len(jobs)} jobs; give a file with one, or a job's name")
    metadata = jobs[0].get("metadata") or {}
    namespace = options.namespace or metadata.get("namespace")
    return Named(str(jobs[0]["kind"]), namespace, str(metadata.get("name", "")), file, jobs[0])


def find(named: Named, options: Options) -> Found:
    """A job that was printed with its status is all there is; else the state directory, then the cluster."""
    if named.document is not None and named.document.get("status"):
        return Found(Seen(named.document, live=False))
    wanted = Wanted(named.kind, named.namespace, named.name)
    here = None if options.kubeconfig or options.context else from_state_dir(Path(options.state_dir), wanted)
    if here is not None:
        return here
    try:
        return elsewhere(wanted, options)
    except UserError as error:
        if named.document is None:
            raise UserError(f"{error.message} (nor is there a job {named.name} in {options.state_dir})") from error
        return Found(Seen(named.document, live=False), notes=(f"{named.file} alone was looked at: {error.message}",))


def elsewhere(wanted: Wanted, options: Options) -> Found:
    """On the cluster. Raises UserError: with --local nobody is asked."""
    if options.local:
        raise UserError(f"--local: {options.state_dir} has no job {wanted.name} in namespace {wanted.namespace or 'default'}")
    return from_cluster(wanted, options.kubeconfig, options.context)


def tell(commands: Commands, found: Found, findings: Sequence[Finding], output: str) -> None:
    phase = str((found.seen.job.get("status") or {}).get("phase") or "no phase")
    if output == "table":
        click.echo(f"{commands.kind} {commands.namespace}/{commands.name}: {phase}")
        for line in lines(findings):
            click.echo(line)
        for note in found.notes:
            click.echo(f"\nNote: {note}", err=True)
        return
    document = {
        "job": {"kind": commands.kind, "namespace": commands.namespace, "name": commands.name},
        "phase": phase,
        "findings": [each.to_dict() for each in findings],
        "notes": list(found.notes),
    }
    text = json.dumps(document, indent=2) if output == "json" else yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    click.echo(text.rstrip("\n"))


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """What is the matter, what shows it, what helps, what to type."""
    for each in findings:
        yield ""
        yield click.style(f"{each.severity.value:<8}", fg=COLOURS[each.severity], bold=True) + f" {each.title}"
        yield from (f"         {said}" for said in each.evidence)
        if each.remedy:
            yield f"         -> {each.remedy}" + (f" ({each.page})" if each.page else "")
        if each.command:
            yield f"         $ {each.command}"
