"""The commands that need no cluster: what they take. What they do is imported when one is called."""

from __future__ import annotations

from typing import Any

import click

from kubetune.cli.cluster_commands import or_here

FORMAT = click.Choice(["yaml", "json"])
FILE = click.Path()
"""Text whose completion is the shell's own of files; whether it is there is looked at later."""

VALID_OR_NOT = """\b
Exit codes: 0 all are valid · 2 one is not, cannot be read, or there is none at all (--allow-empty: 0)."""


def examples(*lines: str, codes: str = "") -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines), *(["", codes] if codes else [])])


def register(group: click.Group) -> None:
    """Adds them to `kubetune`."""
    for command in (init, validate, estimate, explain, render, crds, completion):
        group.add_command(command)


@click.command(
    short_help="Check job files, folders, standard input.",
    epilog=examples(
        "kubetune validate job.yaml",
        "kubetune validate jobs/                      # *.yaml, *.yml, *.json below it",
        "helm template chart | kubetune validate -",
        "kubetune validate -o sarif . > kubetune.sarif",
        "kubetune validate -o github jobs/            # annotations in a GitHub workflow",
        codes=VALID_OR_NOT,
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="json, sarif (2.1.0), github (workflow annotations): one document on standard output.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of what is valid.")
@click.option("--allow-empty", is_flag=True, help="No job at all is no error (for hooks that are handed every changed file).")
def validate(paths: tuple[str, ...], output: str, *, quiet: bool, allow_empty: bool) -> None:
    """Check every SFTJob and OSFTJob in PATH (a file, a folder, "-") as the API server and the operator would.

    Documents of other kinds are passed over and counted. Errors name file, line, field, value and remedy.
    """
    from kubetune.cli.validate import validate_all

    raise SystemExit(validate_all(paths, output, quiet=quiet, allow_empty=allow_empty))


@click.command(
    short_help="Print the PyTorchJob of the job in FILE.",
    epilog=examples(
        "kubetune render job.yaml",
        "kubetune render job.yaml -o json | jq .spec.pytorchReplicaSpecs.Master",
        "kubetune render job.yaml --image registry/kubetune-trainer:0.1.0 --attempt 2",
        codes="\b\nExit codes: 0 · 2 the file holds no valid job.",
    ),
)
@click.argument("file", type=FILE)
@click.option("--image", default=None, help="Trainer image of a job that names none.")
@click.option("--job-defaults", metavar="FILE", type=FILE, help="As the operator's option of this name: what jobs leave out.")
@click.option("--uid", default=None, help="metadata.uid that the job will have. Default: zeros; an API server draws one.")
@click.option("--attempt", default=1, show_default=True, type=click.IntRange(min=1), help="Which attempt.")
@click.option("-o", "--output", type=FORMAT, default="yaml", show_default=True, help="The same object either way.")
def render(**arguments: Any) -> None:
    """Print the PyTorchJob that the operator would create for the job in FILE ("-": standard input), byte for byte."""
    from kubetune.cli.offline import RenderOptions, render_file

    click.echo(render_file(RenderOptions(**arguments)), nl=False)


@click.command(
    short_help="Print the CustomResourceDefinitions.",
    epilog=examples("kubetune crds | kubectl apply --server-side -f -", "kubetune crds -o json | jq '.items[].metadata.name'"),
)
@click.option("-o", "--output", type=FORMAT, default="yaml", show_default=True, help="yaml: two documents; json: one List.")
def crds(output: str) -> None:
    """Print the CustomResourceDefinitions, ready for `kubectl apply --server-side -f -`."""
    from kubetune.cli.offline import crds_text

    click.echo(crds_text(output), nl=False)


@click.command(
    short_help="What the job in FILE needs: memory, disk, time.",
    epilog=examples(
        "kubetune estimate job.yaml --model-config config.json --gpu-memory 80Gi",
        "kubetune estimate job.yaml --volume models=/mnt/models     # pvc://models/... is there",
        "kubetune estimate job.yaml -o json | jq .suggestedMaxTokensPerGpu",
        codes="\b\nExit codes: 0 · 1 it does not fit as asked (--gpu-memory) · 2 something in the input must be changed.",
    ),
)
@click.argument("file", type=FILE)
@click.option(
    "--model-config", metavar="FILE", type=FILE, help="The model's config.json, or a directory with it (and the weights' headers)."
)
@click.option("--volume", multiple=True, metavar="CLAIM=DIR", help="pvc://CLAIM is DIR on this machine.")
@click.option("--state-dir", default=".kubetune", show_default=True, help="Else pvc://CLAIM is STATE_DIR/volumes/CLAIM.")
@click.option(
    "--gpu-memory", metavar="SIZE", help="Memory of one GPU, as 80Gi or 80G: does it fit, and which maxTokensPerGpu does?"
)
@click.option(
    "--sharding",
    type=click.Choice(["full", "hybrid"]),
    default="full",
    show_default=True,
    help="full: over all ranks, which is what kubetune sets. hybrid: within a node, instructlab-training's own default.",
)
@click.option(
    "--write-speed",
    metavar="SIZE",
    help="What the output's disk takes a second, as 1G. Default: 200 MB/s to 2 GB/s, a range from a busy disk to a good one.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
def estimate(**arguments: Any) -> None:
    """Say what the job in FILE needs of a GPU's memory, of a node's, of the disk, and of time.

    Every figure names the formula's source and whether it was measured; a range is told where a point would be a guess.
    """
    from kubetune.cli.estimate import Options, estimate_file

    raise SystemExit(estimate_file(Options(**arguments)))


@click.command(
    short_help="Ask a few questions and write a job file.",
    epilog=examples(
        "kubetune init",
        "kubetune init --yes --model pvc://models/base --dataset pvc://data/train.jsonl --output pvc://runs",
        "kubetune init osft.yaml --kind OSFTJob --name teach --unfreeze-rank-ratio 0.3",
        codes="\b\nExit codes: 0 · 2 the file exists, or an answer is not valid · 1 aborted.",
    ),
)
@click.argument("file", default="job.yaml", type=FILE)
@click.option(
    "--kind", type=click.Choice(["SFTJob", "OSFTJob"]), help="SFTJob: supervised fine-tuning. OSFTJob: orthogonal subspace."
)
@click.option("--name", help="Name of the job: lower-case letters, digits and '-'.")
@click.option("--namespace", help="Its namespace. Default: none in the file; kubectl's own counts.")
@click.option("--model", help="URI of the model: hf://org/name@revision, pvc://claim/path, s3://bucket/key, /path.")
@click.option("--dataset", help="URI of the data set: pvc://claim/file.jsonl, hf://org/name/file.jsonl ...")
@click.option("--output", "output", help="URI of the directory for checkpoints: pvc://claim/path, s3://bucket/key, /path.")
@click.option("--device", type=click.Choice(["gpu", "cpu"]), help="What it trains on.")
@click.option("--nodes", type=int, help="Nodes that train together.")
@click.option("--procs-per-node", type=int, help="Training processes a node: its GPUs.")
@click.option("--epochs", type=int, help="Passes over the data set.")
@click.option("--batch-size", type=int, help="Samples an optimizer step, over all GPUs (effectiveBatchSize).")
@click.option("--max-seq-len", type=int, help="Longest sample in tokens.")
@click.option("--max-tokens-per-gpu", type=int, help="Tokens of a mini-batch on one GPU: the cap on memory.")
@click.option("--learning-rate", type=float, help="Peak learning rate.")
@click.option("--unfreeze-rank-ratio", type=float, help="OSFTJob: share of each matrix's directions that is trained.")
@click.option("--queue", help="Kueue LocalQueue in which the job waits. Default: none.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: the defaults count for what is not given.")
def init(**arguments: Any) -> None:
    """Ask for what a job needs and write FILE (job.yaml), commented and valid. An existing file is never overwritten."""
    from kubetune.cli.init import init_file

    raise SystemExit(init_file(**arguments))


@click.command(
    short_help="Why a job waits, failed or is slow.",
    epilog=examples(
        "kubetune explain teach-granite                # on the cluster; of `kubetune run` first, if that knows the name",
        "kubetune explain osftjob/teach-granite -n research",
        "kubectl get osftjob teach -o yaml | kubetune explain -    # from its status alone",
        codes="\b\nExit codes: 0 it runs, waits or Succeeded · 1 it Failed or somebody must act · 2 no such job.",
    ),
)
@click.argument("target", metavar="JOB|FILE", type=FILE)
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
@or_here
def explain(**arguments: Any) -> None:
    """Say why a job waits, failed or is slow: each finding with its evidence and the next command to type.

    JOB is a name or kind/name; FILE ("-": standard input) a job file, or a job as `kubectl get -o yaml` prints it.
    """
    from kubetune.cli.explain import Options, explain_target

    raise SystemExit(explain_target(Options(**arguments)))


@click.command(
    short_help="Print a completion script for the shell.",
    epilog=examples(
        'eval "$(kubetune completion bash)"             # in ~/.bashrc',
        'eval "$(kubetune completion zsh)"              # in ~/.zshrc',
        "kubetune completion fish > ~/.config/fish/completions/kubetune.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and files."""
    from kubetune.cli.completion import script

    click.echo(script(shell))
