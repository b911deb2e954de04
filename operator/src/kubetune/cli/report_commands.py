"""`kubetune report` and `kubetune checkpoints`: what they take. What they do is imported when one is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kubetune.cli.cluster_commands import on_cluster

if TYPE_CHECKING:
    from kubetune.cli.target import Where

REPORT_EXAMPLES = """\b
Examples:
  kubetune report job.yaml                      # a job that `kubetune run` trained here
  kubetune report osftjob/teach -n research -o teach.html       # on the cluster, if it was not run here
  kubetune report /runs/a                       # a job's directory, or ckpt_output_dir of the library
  kubetune report /runs/a -o - | gzip > a.html.gz
  kubetune report teach --output-dir /mnt/runs/default-teach-1234abcd    # a cluster's job, where its volume is mounted"""

CHECKPOINTS_EXAMPLES = """\b
Examples:
  kubetune checkpoints job.yaml
  kubetune checkpoints teach --verify
  kubetune checkpoints osftjob/teach -n research
  kubetune checkpoints /runs/a -o json
  kubetune checkpoints teach --copy-out last ./model

Exit codes: 0 · 1 a checkpoint is not as it was verified, or could not be copied · 2 something in the input must be changed."""


def register(group: click.Group) -> None:
    """Adds them to `kubetune`."""
    group.add_command(report)
    group.add_command(checkpoints)


def of_a_job(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which job is meant."""
    for option in (
        click.option("--output-dir", metavar="DIR", help="The job's own directory, where it is not below the state directory."),
        click.option("--local", is_flag=True, help="Ask no cluster."),
        click.option("--state-dir", default=".kubetune", show_default=True, help="Where `kubetune run` keeps its jobs."),
    ):
        command = option(command)
    return on_cluster(command)


def where_of(options: dict[str, Any]) -> Where:
    """Takes out the options that say where a job is looked for."""
    from kubetune.cli.target import Where

    return Where(**{name: options.pop(name) for name in ("state_dir", "namespace", "local", "kubeconfig", "context")})


@click.command(epilog=REPORT_EXAMPLES, short_help="Write a page about a job: HTML, in one file.")
@click.argument("target", metavar="JOB|DIR")
@click.option("-o", "--output", metavar="FILE", help='Default: NAME-report.html. "-": standard output.')
@of_a_job
def report(target: str, output: str | None, output_dir: str | None, **options: Any) -> None:
    """Write one HTML page that needs no network: curves, attempts and faults, checkpoints, data, time, spec, versions.

    JOB is a name or KIND/NAME, of a job that `kubetune run` trained here, else of one on the cluster; or its file; or "-": a
    resource on standard input, as kubectl prints it. DIR is a job's own directory, or the output directory of the library.
    Of a job on a cluster its status is told; what its volume holds, once --output-dir names where that is mounted.
    """
    from kubetune.cli.report import write_report

    write_report(target, output, where_of(options), output_dir)


@click.command(epilog=CHECKPOINTS_EXAMPLES, short_help="List a job's checkpoints, read them again, copy one out.")
@click.argument("target", metavar="JOB|DIR")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
@click.option("--verify", is_flag=True, help="Read every file again: sizes and SHA-256. Exit code 1, and the file, if one differs.")
@click.option(
    "--copy-out",
    nargs=2,
    metavar="STEP|last|best DIR",
    help="Copy a verified checkpoint to DIR, which must not be there, and read the copy. last, best: weights; best: lowest loss.",
)
@of_a_job
def checkpoints(target: str, **options: Any) -> None:
    """List what became of every checkpoint that was told of, oldest first.

    JOB is a name or KIND/NAME, of a job that `kubetune run` trained here, else of one on the cluster; or its file; or "-": a
    resource on standard input, as kubectl prints it. DIR is a job's own directory, or the output directory of the library.
    Of a job on a cluster its status is told; what its volume holds, once --output-dir names where that is mounted.
    """
    from kubetune.cli.checkpoints import copy, list_checkpoints
    from kubetune.cli.target import find_target

    found = find_target(target, where_of(options), options["output_dir"])
    if options["copy_out"]:
        raise SystemExit(copy(found, *options["copy_out"]))
    raise SystemExit(list_checkpoints(found, options["output"], verify=options["verify"]))
