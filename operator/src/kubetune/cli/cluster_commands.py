"""The commands for jobs on a cluster: arguments in, exit code out. What they need is imported when they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

WHERE = """\b
The cluster is found as kubectl finds it: --kubeconfig, KUBECONFIG, ~/.kube/config, the pod's own account.
Exit codes: 0 done · 1 the job Failed · 2 something must be changed: the message says what · 130 interrupted."""


def ending(*examples: str) -> str:
    """What comes after a command's options."""
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples), "", WHERE])


def on_cluster(command: F) -> F:
    """Which cluster, and which namespace."""
    for option in (
        click.option("-n", "--namespace", help="Of the jobs. Default: the context's."),
        click.option("--context", help="Of the kubeconfig. Default: its current one."),
        click.option("--kubeconfig", metavar="FILE", help="In place of KUBECONFIG."),
    ):
        command = option(command)
    return command


def or_here(command: F) -> F:
    """A cluster, or the embedded one of this machine."""
    command = click.option("--state-dir", default=".kubetune", show_default=True, help="With --local: where jobs are kept.")(
        command
    )
    return on_cluster(
        click.option("--local", is_flag=True, help="On this machine's embedded cluster, that of `kubetune run`.")(command)
    )


def output(*also: str) -> Callable[[F], F]:
    choice = click.Choice(["table", *also, "json", "yaml", "name"])
    return click.option("-o", "--output", type=choice, default="table", show_default=True, help="How it is printed.")


@click.command(epilog=ending("kubetune submit job.yaml", "kubetune submit job.yaml --watch && kubetune get -o wide"))
@click.argument("file")
@click.option("-w", "--watch", is_flag=True, help="Show it until it has ended; Ctrl-C leaves the job alone.")
@output()
@or_here
def submit(file: str, *, watch: bool, output: str, **where: Any) -> None:
    """Submit the job in FILE ("-": standard input), with the ConfigMaps beside it.

    The same file again is the same job: nothing is trained twice. With --local this is `kubetune run`.
    """
    from kubetune.cli.submitting import submit_file

    raise SystemExit(submit_file(file, watch=watch, output=output, **where))


@click.command(epilog=ending("kubetune get", "kubetune get osftjobs -A -o wide", "kubetune get osftjob/teach -o yaml"))
@click.argument("names", nargs=-1, metavar="[NAME | KIND/NAME | KIND]...")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@output("wide")
@or_here
def get(names: tuple[str, ...], *, all_namespaces: bool, output: str, **where: Any) -> None:
    """List jobs, all of them or those that are named."""
    from kubetune.cli.listing import get_jobs

    raise SystemExit(get_jobs(names, all_namespaces=all_namespaces, output=output, **where))


@click.command(epilog=ending("kubetune logs teach -f", "kubetune logs teach --all --tail 20", "kubetune logs teach --attempt 1"))
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Wait for more until the job ends, attempt after attempt.")
@click.option("--rank", type=click.IntRange(min=0), help="Of the node. Default: 0, the master, which tells of the training.")
@click.option("--all", "all_ranks", is_flag=True, help="Of all nodes, each line with its rank before it.")
@click.option("--attempt", type=click.IntRange(min=1), help="Which one. Default: the last.")
@click.option("--tail", type=click.IntRange(min=0), help="So many last lines. Default: all.")
@or_here
def logs(name: str, *, rank: int | None, all_ranks: bool, **options: Any) -> None:
    """Print the log of a job's trainer."""
    if all_ranks and rank is not None:
        raise click.UsageError("--rank and --all exclude each other; leave one of them out")
    from kubetune.cli.reading_logs import print_logs

    raise SystemExit(print_logs(name, rank=None if all_ranks else rank or 0, **options))


@click.command(epilog=ending("kubetune top", "kubetune top -A --every 10"))
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option("--every", type=click.FloatRange(min=0.5), default=2.0, show_default=True, help="Seconds between two looks.")
@or_here
def top(*, all_namespaces: bool, every: float, **where: Any) -> None:
    """Show the jobs as a table that renews itself until Ctrl-C; once, where standard output is no terminal."""
    from kubetune.cli.top import show_top

    raise SystemExit(show_top(all_namespaces=all_namespaces, every=every, **where))


def changing(name: str, text: str, example: str, *, here: bool = False) -> click.Command:
    """A command that does one thing to each job that is named."""

    @click.command(name, epilog=ending(example), help=text)
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @(or_here if here else on_cluster)
    def command(names: tuple[str, ...], **where: Any) -> None:
        from kubetune.cli.changing import change_jobs

        raise SystemExit(change_jobs(name, names, **where))

    return command


SUSPEND = "End a job's pods, which save before, until it is resumed."
RESUME = "Let suspended jobs go on from where they saved."
RETRY = """Let a job that Failed go on: another attempt from its last verified state.

It stays the same resource, with its history and its checkpoints, and gets a full backoffLimit. Mend first what the failure
names (docs/failures.md); a changed training needs a new job. On this machine `kubetune run` with the same file does it."""
DELETE = "Delete jobs and their pods. What they wrote to their output stays."

COMMANDS = (
    submit,
    get,
    logs,
    top,
    changing("suspend", SUSPEND, "kubetune suspend teach"),
    changing("resume", RESUME, "kubetune resume teach"),
    changing("retry", RETRY, "kubetune retry teach"),
    changing("delete", DELETE, "kubetune delete teach osftjob/other", here=True),
)
