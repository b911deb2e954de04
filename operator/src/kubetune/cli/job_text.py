"""A commented job file from a few answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from kubetune.api import API_VERSION, load_documents


@dataclass(frozen=True)
class Answers:
    """What was asked, or given as an option."""

    kind: str
    name: str
    model: str
    dataset: str
    output: str
    device: str
    nodes: int
    procs_per_node: int
    epochs: int
    batch_size: int
    max_seq_len: int
    max_tokens_per_gpu: int
    learning_rate: float
    unfreeze_rank_ratio: float | None = None
    namespace: str | None = None
    queue: str | None = None


def job_text(answers: Answers, file: str) -> str:
    """YAML that validates if the answers are valid; what is usual but not asked for stands there as a comment."""
    return "\n".join([*head(answers, file), *training(answers), *placement(answers), *policies(answers)]) + "\n"


def scalar(value: str | float) -> str:
    """As it is, unless YAML would read something else than the same text (a job named "on", for instance)."""
    text = value if isinstance(value, str) else repr(value)
    try:
        same = load_documents(f"value: {text}") == [{"value": value}]
    except ValueError:
        same = False
    return text if same else json.dumps(value)


def head(answers: Answers, file: str) -> Iterator[str]:
    namespace = f", namespace: {scalar(answers.namespace)}" if answers.namespace else ""
    yield f"# Written by `kubetune init`. Every field, its default and range: kubectl explain {answers.kind.lower()}.spec"
    yield f"# Next: kubetune estimate {file} --gpu-memory 80Gi, then kubetune run {file}, or kubectl apply -f {file}"
    yield f"apiVersion: {API_VERSION}"
    yield f"kind: {answers.kind}"
    yield f"metadata: {{name: {scalar(answers.name)}{namespace}}}"
    yield "spec:"
    yield f"  model: {{uri: {scalar(answers.model)}}}       # a Hugging Face directory; secretRef has credentials for hf:// and s3://"
    yield f"  dataset: {{uri: {scalar(answers.dataset)}}}   # JSON Lines of chat messages, or format: processed, pretraining"
    yield f"  output: {{uri: {scalar(answers.output)}}}     # shared by all nodes (ReadWriteMany), or s3://"


def training(answers: Answers) -> Iterator[str]:
    yield "  training:"
    if answers.unfreeze_rank_ratio is not None:
        ratio = scalar(answers.unfreeze_rank_ratio)
        yield f"    unfreezeRankRatio: {ratio}   # share of each matrix's directions that is trained; 0.1 to 0.5 is usual"
    yield f"    numEpochs: {answers.epochs}"
    yield f"    effectiveBatchSize: {answers.batch_size}   # samples an optimizer step, over all GPUs"
    yield f"    maxSeqLen: {answers.max_seq_len}           # samples of this length or more are left out, and counted"
    yield f"    maxTokensPerGpu: {answers.max_tokens_per_gpu}   # the cap on memory; `kubetune estimate` suggests one"
    yield f"    learningRate: {scalar(answers.learning_rate)}"
    yield "    # warmupSteps: 10"
    yield "    # seed: 42"


def placement(answers: Answers) -> Iterator[str]:
    yield f"  nodes: {answers.nodes}          # one pod each"
    yield f"  procsPerNode: {answers.procs_per_node}   # training processes a node" + (
        ", one a GPU" if answers.device == "gpu" else ""
    )
    if answers.device == "cpu":
        yield "  device: cpu"
    if answers.queue:
        yield f"  queueName: {scalar(answers.queue)}   # a Kueue LocalQueue of the namespace"
    yield "  # resources: {limits: {memory: 128Gi, cpu: 16}}   # of each node's container; GPUs follow from procsPerNode"
    yield "  # template: {nodeSelector: {}, tolerations: [], env: []}   # additions to the pods"


def policies(answers: Answers) -> Iterator[str]:
    yield "  checkpoint:"
    yield "    everyEpoch: true     # a full state at each epoch's end but the last: what a failed attempt goes on from"
    yield "    # everyMinutes: 30   # and by time, for long epochs"
    yield "    # keep: 1            # full states that stay on disk"
    yield "  runPolicy:"
    yield "    backoffLimit: 3      # restarts after failures that another try can mend"
    if answers.device == "gpu":
        yield "    terminationGracePeriodSeconds: 300   # for a save when a pod is told to end: see `kubetune estimate`"
    yield "    # progressDeadlineSeconds: 1800      # no new step for so long: the attempt is ended, with the stacks of all ranks"
