"""The environment variables of kubetune's own, each with who sets it. Those that no table here names are found by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from markdown_text import cell, code, rows

from kubetune_trainer.data.settings import PREFIX, DataSettings

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("operator/src", "trainer_image/src")

YOURS = {
    "KUBETUNE_SVD_CACHE": (
        "`~/.cache/kubetune/svd`; a job: `cache/svd` beside its attempts",
        "Directory of OSFT's decompositions, which ranks, nodes and jobs may share, `s3://bucket/key`, or `off`.",
    ),
    "KUBETUNE_SVD_CACHE_GIB": ("50", "Its size; never more than a quarter of what is free there."),
    "KUBETUNE_STORE_CACHE": (
        "`~/.cache/kubetune/store`",
        "What was downloaded from s3://, and the library's runs before they are uploaded.",
    ),
    "KUBETUNE_STORE_PATIENCE_SECONDS": ("600", "How long a store that cannot be reached is waited for, before and after training."),
    "KUBETUNE_STORE_PART_MIB": ("16", "Size of the parts of uploads and downloads, at least 5."),
    "KUBETUNE_WORLD_SIZE_CHANGED": (
        "`refuse`",
        "The library: what becomes of an unfinished run that had another number of ranks: `refuse`, `weights` or `restart`.",
    ),
    "KUBETUNE_REPORT_INTERVAL_SECONDS": ("10", "Seconds between two reports of progress; `kubetune run` sets a shorter one."),
}
"""Name: default, meaning. With those of DataSettings all that a user may set."""

OPERATORS = {
    "KUBETUNE_TRAINER_IMAGE": ("none", "The operator's `--image`, where the option is not given."),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("none: no traces", "The collector to which each job's trace is sent; `/v1/traces` is added."),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ("none", "The same as a whole URL; wins over the other."),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("http/protobuf", "Nothing else is spoken: another value is refused in the log."),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": ("http/protobuf", "The same; wins over the other."),
    "OTEL_TRACES_EXPORTER": ("otlp", "`none`: no traces."),
    "OTEL_SDK_DISABLED": ("false", "`true`: no traces. Further OTEL_ variables: [traces](../observability.md#traces)."),
}

OWN = {
    "KUBETUNE_CONTRACT": "The attempt's contract, one JSON document: set by the operator (or by hand in a PyTorchJob of your own).",
    "KUBETUNE_REPORT_FILE": "Where the trainer puts its latest report: set by the embedded cluster.",
    "KUBETUNE_TERMINATION_LOG": "Where the outcome goes in place of `/dev/termination-log`: set by the embedded cluster.",
    "KUBETUNE_POD_UID": "By which the embedded cluster finds the processes of a pod.",
    "KUBETUNE_NODE_OUTPUT": "From the launcher to its ranks: each node has an output directory of its own (s3://).",
    "KUBETUNE_PARENT_PID": "From the launcher to its ranks: whose end is theirs.",
    "KUBETUNE_CPU_PATCH": "From the launcher to its ranks: train a script that knows CUDA alone on the CPU.",
    "KUBETUNE_PLUGINS": "From the launcher to its ranks: which plug-ins to load.",
    "KUBETUNE_LOG_DIR": "From the launcher to its ranks: where they leave what ended them.",
}
"""Set by kubetune for itself."""


def data_variables() -> dict[str, tuple[str, str]]:
    """Out of the settings' own descriptions."""
    return {
        PREFIX + name.upper(): ("" if field.default is None else f"{field.default:g}", field.description or "")
        for name, field in DataSettings.model_fields.items()
    }


def table() -> str:
    """Three tables: a user's, the operator's, kubetune's own."""
    yours = data_variables() | YOURS
    parts = [
        "## Yours to set\n\n" + rows(("Variable", "Default", "Meaning"), described(yours)),
        "## The operator's\n\n" + rows(("Variable", "Default", "Meaning"), described(OPERATORS)),
        "## kubetune's own\n\nSet by kubetune, for its own processes; here so that a process list can be read.\n\n"
        + rows(("Variable", "Meaning"), ((code(name), cell(text)) for name, text in sorted(OWN.items()))),
    ]
    return "\n\n".join(parts)


def described(names: dict[str, tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    return ((code(name), default, cell(meaning)) for name, (default, meaning) in sorted(names.items()))


def known() -> set[str]:
    return {*data_variables(), *YOURS, *OPERATORS, *OWN}


def read_by_the_code() -> set[str]:
    """Every whole string constant of the sources that is such a name, ours or OpenTelemetry's."""
    files = (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    constants = (node.value for path in files for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return {text for text in constants if isinstance(text, str) and re.fullmatch(r"(KUBETUNE|OTEL)_[A-Z_]*[A-Z]", text)}
