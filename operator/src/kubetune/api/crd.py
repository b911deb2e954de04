"""The CustomResourceDefinitions: schema, CEL rules, printer columns."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import yaml

from kubetune.api.base import GROUP, VERSION
from kubetune.api.crd_schema import Schema, structural_schema
from kubetune.api.immutable import immutability_rules
from kubetune.api.job import KINDS, Job
from kubetune.api.rule import Rule
from kubetune.api.rules import rules_of
from kubetune.api.rules_template import LIST_KEYS
from kubetune.api.status import Phase
from kubetune_trainer.contract import ESCAPED, MAX_URI_BYTES

COLUMNS = (
    ("Phase", "string", ".status.phase", "Where the job stands."),
    ("Progress", "number", ".status.progress.percent", "Optimizer steps done, in percent of all."),
    ("Loss", "number", ".status.progress.loss", "Mean loss per token of the last step."),
    ("ETA", "integer", ".status.progress.etaSeconds", "Seconds until the last step."),
    ("Nodes", "integer", ".spec.nodes", "Nodes that train together."),
    ("Restarts", "integer", ".status.restarts", "Attempts after the first."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the job was created."),
)
WIDE_COLUMNS = (
    ("Reason", "string", '.status.conditions[?(@.type=="Running")].reason', "What it does, waits for, or ended by."),
    ("Tokens/s", "number", ".status.progress.tokensPerSecond", "Tokens a second over all ranks."),
    ("Checkpoint", "string", ".status.finalCheckpoint.uri", "The verified checkpoint of the last step."),
)
"""Shown by `-o wide` alone."""

ROOT_PROPERTIES: dict[str, Schema] = {
    "apiVersion": {"type": "string", "description": "kubetune.dev/v1alpha1."},
    "kind": {"type": "string", "description": "SFTJob or OSFTJob."},
    "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
}
"""What the API server knows by itself. Of metadata a schema may name nothing but the name, which the rules' paths need."""

UNSEEN: dict[str, Any] = {"observedGeneration": -1, "phase": Phase.PENDING.value}
"""The status until the operator has looked. Defaults are laid over what is read, so it shows at once, and kstatus finds the job in
progress: no generation is -1. (The practice of Flux: fluxcd/pkg, apis.)"""

URI_BYTES_RULE = {
    "rule": f"self.map(each, bytes(each.uri).size() + 5 * each.uri.findAll(r'{ESCAPED}').size()).sum() <= {MAX_URI_BYTES}",
    "message": f"their URIs take more than {MAX_URI_BYTES} bytes of JSON; report fewer checkpoints",
}
"""In bytes, which maxLength does not count. The twin of `contract.uri_bytes`."""

HEADER = "# Generated from kubetune.api by scripts/generate.py: change the models, not this file.\n"


def crd(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind ("SFTJob" or "OSFTJob")."""
    singular = kind.lower()
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": f"{singular}s",
        "singular": singular,
        "shortNames": [singular.removesuffix("ob")],
        "categories": ["kubetune"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": printer_columns(),
        "schema": {"openAPIV3Schema": root_schema(KINDS[kind])},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def printer_columns() -> list[dict[str, Any]]:
    keys = ("name", "type", "jsonPath", "description")
    wide = [{**dict(zip(keys, column, strict=True)), "priority": 1} for column in WIDE_COLUMNS]
    return [*(dict(zip(keys, column, strict=True)) for column in COLUMNS), *wide]


def root_schema(model: type[Job]) -> Schema:
    """The whole resource: the models' schema, with what only a cluster knows laid over it."""
    schema = structural_schema(model)
    properties = schema["properties"]
    properties.update(deepcopy(ROOT_PROPERTIES))
    kind = model.__name__
    spec = with_rules(with_list_types(properties["spec"]), rules_of(kind), "spec")
    spec["properties"]["nodes"]["default"] = 1  # for the column Nodes; it decides nothing that its absence would not
    properties["spec"], properties["status"] = spec, with_cluster_part(properties["status"])
    return with_rules(schema, (*rules_of(kind), *immutability_rules(kind)), "")


def with_rules(schema: Schema, rules: tuple[Rule, ...], scope: str) -> Schema:
    """The schema with the CEL rules of that scope."""
    return {**schema, "x-kubernetes-validations": [validation(rule) for rule in rules if rule.scope == scope]}


def validation(rule: Rule) -> dict[str, str]:
    """A rule as x-kubernetes-validations has it."""
    said = {"rule": rule.cel, "fieldPath": rule.field_path, "message": f"{rule.message}; {rule.remedy}"}
    if rule.cel_message:
        said["messageExpression"] = f"{rule.cel_message} + {cel_text(f'; {rule.remedy}')}"
    return said


def cel_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def with_list_types(spec: Schema) -> Schema:
    """Named lists of the template merge by name under server-side apply, and hold no name twice."""
    template = spec["properties"]["template"]["properties"]
    for name, key in LIST_KEYS.items():
        template[name] = as_map(template[name], key)
    return spec


def with_cluster_part(status: Schema) -> Schema:
    properties = status["properties"]
    properties["conditions"] = as_map(properties["conditions"], "type")
    properties["attempts"] = as_map(properties["attempts"], "number")
    properties["checkpoints"] = {**properties["checkpoints"], "x-kubernetes-validations": [URI_BYTES_RULE]}
    return {**status, "default": UNSEEN}


def as_map(schema: Schema, key: str) -> Schema:
    return {**schema, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def crd_yaml(kind: str) -> str:
    """The CustomResourceDefinition as YAML; equal models give equal bytes."""
    return HEADER + yaml.safe_dump(crd(kind), sort_keys=False, width=120, allow_unicode=True)


def file_name(kind: str) -> str:
    """Its file in crds/."""
    return f"{GROUP}_{kind.lower()}s.yaml"
