"""The command `kubetune`: arguments in, exit code out. Each command imports what it needs only when it is called."""

from __future__ import annotations

from typing import Any

import click

OUTPUT = click.Choice(["table", "json", "yaml"])
EXIT_CODES = """\b
Exit codes: 0 the job Succeeded · 1 it Failed · 2 something in the input must be changed · 130 interrupted."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kubetune", message="kubetune %(version)s")
def kubetune() -> None:
    """Fine-tune language models, here or on Kubernetes, and be told the truth about it."""


@kubetune.command(epilog=EXIT_CODES, short_help="Train the job in FILE on this machine.")
@click.argument("file")
@click.option("--state-dir", default=".kubetune", show_default=True, help="Where jobs, volumes, logs and checkpoints are kept.")
@click.option(
    "--volume", multiple=True, metavar="CLAIM=DIR", help="pvc://CLAIM is DIR on this machine. Default: STATE_DIR/volumes/CLAIM."
)
@click.option("--config-map", multiple=True, metavar="NAME=DIR", help="configMap://NAME/KEY is DIR/KEY on this machine.")
@click.option("--device", type=click.Choice(["gpu", "cpu"]), help="In place of spec.device.")
@click.option("--again", is_flag=True, help="Train anew, as a new job of the same name. Earlier checkpoints stay where they are.")
@click.option("-o", "--output", type=OUTPUT, default="table", show_default=True, help="json, yaml: print the final resource alone.")
def run(**arguments: Any) -> None:
    """Train the job in FILE ("-": standard input) on this machine, without Kubernetes.

    The same command goes on from the last verified checkpoint if it was interrupted or failed.
    """
    try:
        from kubetune.cli.run import Options, run_file

        code = run_file(Options(**arguments))
    except KeyboardInterrupt:  # before anything was started; later it is the session's to answer
        code = 130
    raise SystemExit(code)


@kubetune.command(short_help="Check jobs without running them.")
@click.argument("files", nargs=-1, required=True)
def validate(files: tuple[str, ...]) -> None:
    """Check jobs as the API server and the operator would. Exit code 2 if one is invalid."""
    from kubetune.cli.offline import validate_files

    raise SystemExit(validate_files(files))


@kubetune.command(short_help="Print the PyTorchJob of the job in FILE.")
@click.argument("file")
@click.option("--image", default=None, help="Trainer image of a job that names none.")
@click.option("--job-defaults", default=None, metavar="FILE", help="As the operator's option of this name: what jobs leave out.")
@click.option("--uid", default=None, help="metadata.uid that the job will have. Default: zeros; an API server draws one.")
@click.option("--attempt", default=1, show_default=True, type=click.IntRange(min=1), help="Which attempt.")
def render(file: str, image: str | None, job_defaults: str | None, uid: str | None, attempt: int) -> None:
    """Print the PyTorchJob that the operator would create for the job in FILE."""
    from kubetune.cli.offline import render_file

    click.echo(render_file(file, image, uid, attempt, job_defaults), nl=False)


@kubetune.command(short_help="Print the CustomResourceDefinitions.")
def crds() -> None:
    """Print the CustomResourceDefinitions, ready for `kubectl apply -f -`."""
    from kubetune.cli.offline import crds_yaml

    click.echo(crds_yaml(), nl=False)
