"""The command `kubetune`: arguments in, exit code out. Each command imports what it needs only when it is called."""

from __future__ import annotations

from typing import Any

import click

from kubetune.cli.cluster_commands import COMMANDS
from kubetune.cli.offline_commands import register as register_offline
from kubetune.cli.report_commands import register as register_report

OUTPUT = click.Choice(["table", "json", "yaml"])
EXIT_CODES = """\b
Exit codes: 0 the job Succeeded · 1 it Failed · 2 something in the input must be changed · 130 interrupted."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kubetune", message="kubetune %(version)s")
def kubetune() -> None:
    """Fine-tune language models, here or on Kubernetes, and be told the truth about it."""


for command in COMMANDS:
    kubetune.add_command(command)


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


register_offline(kubetune)
register_report(kubetune)
