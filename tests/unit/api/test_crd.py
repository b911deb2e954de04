from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cases import ACCEPTED, SMALLEST, Case, edited

from kubetune.api import KINDS
from kubetune.api.crd import crd, crd_yaml, file_name
from kubetune.api.documents import as_json
from kubetune.api.rules import rules_of
from kubetune.api.status import JobStatus
from kubetune_trainer.contract import MAX_URI_BYTES

ROOT = Path(__file__).resolve().parents[3]
VALUE_VALIDATION_ONLY = ("allOf", "anyOf", "oneOf", "not")
FORBIDDEN = (
    "$ref",
    "$defs",
    "definitions",
    "dependencies",
    "id",
    "patternProperties",
    "deprecated",
    "readOnly",
    "const",
    "examples",
    "title",
)
OPEN = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"

Node = tuple[str, dict[str, Any]]


def schema_of(kind: str) -> dict[str, Any]:
    return crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[Node]:
    """Every schema in it with its path."""
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from nodes(each, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


both_kinds = pytest.mark.parametrize("kind", KINDS)


@both_kinds
def test_every_node_is_structural(kind: str):
    """The rules of "Specifying a structural schema" and "Forbidden" of the Kubernetes documentation."""
    for path, node in nodes(schema_of(kind)):
        assert not set(FORBIDDEN) & set(node), path
        assert "type" in node or node.get(INT_OR_STRING) or node.get(OPEN), f"{path} has no type"
        assert not ("properties" in node and "additionalProperties" in node), path
        assert node.get("additionalProperties") is not False, path
        assert node.get("uniqueItems") is not True, path
        assert not isinstance(node.get("items"), list), path
        assert ("items" in node) == (node.get("type") == "array"), path
        assert node.get("type") == "object" or not {"properties", "additionalProperties", "required"} & set(node), path
        for exclusive in ("exclusiveMinimum", "exclusiveMaximum"):
            assert isinstance(node.get(exclusive, False), bool), path
        if node.get(INT_OR_STRING):
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
            assert "type" not in node, path
        else:
            assert not set(VALUE_VALIDATION_ONLY) & set(node), path


@both_kinds
def test_lists_that_are_maps_have_required_scalar_keys(kind: str):
    marked = [(path, node) for path, node in nodes(schema_of(kind)) if node.get("x-kubernetes-list-type") == "map"]
    assert {path for path, _ in marked} >= {".spec.template.env", ".status.conditions", ".status.attempts"}
    for path, node in marked:
        for key in node["x-kubernetes-list-map-keys"]:
            assert key in node["items"]["required"], path
            assert node["items"]["properties"][key]["type"] in ("string", "integer"), path


@both_kinds
def test_every_field_is_described_for_kubectl_explain(kind: str):
    undescribed = [path for path, node in nodes(schema_of(kind)) if "description" not in node and not path.endswith(("[]", "{}"))]
    assert undescribed == [".metadata", ".metadata.name"], "the API server forbids a description of metadata"


@both_kinds
def test_no_default_but_those_that_columns_show(kind: str):
    unseen = {"observedGeneration": -1, "phase": "Pending"}
    found = [(path, node["default"]) for path, node in nodes(schema_of(kind)) if "default" in node]
    assert sorted(found) == [(".spec.nodes", 1), (".status", unseen)]
    JobStatus.model_validate(unseen)


@both_kinds
def test_whatever_a_trainer_may_write_is_bounded(kind: str):
    status = dict(nodes(schema_of(kind)))
    for path, node in status.items():
        if not path.startswith((".status.progress", ".status.checkpoints")):
            continue
        assert node["type"] != "string" or "maxLength" in node, path
        assert node["type"] != "array" or "maxItems" in node, path
    assert f"<= {MAX_URI_BYTES}" in status[".status.checkpoints"]["x-kubernetes-validations"][0]["rule"]


@both_kinds
def test_numbers_and_texts_of_the_spec_are_bounded(kind: str):
    loose = {".spec.training.dataOutputDir"}  # a path that no rule looks at
    for path, node in nodes(schema_of(kind)["properties"]["spec"], ".spec"):
        match node.get("type"):
            case "integer" | "number":
                assert {"minimum", "maximum"} <= set(node), path
            case "string":
                assert "maxLength" in node or path in loose, path
            case "array":
                assert "maxItems" in node, path


@both_kinds
def test_every_rule_is_a_validation_at_its_scope(kind: str):
    schema = schema_of(kind)
    at_spec = schema["properties"]["spec"]["x-kubernetes-validations"]
    at_root = schema["x-kubernetes-validations"]
    assert [each["rule"] for each in at_spec] == [rule.cel for rule in rules_of(kind) if rule.scope == "spec"]
    own = [rule.cel for rule in rules_of(kind) if rule.scope == ""]
    assert [each["rule"] for each in at_root[: len(own)]] == own
    assert all("oldSelf.status.startTime" in each["rule"] for each in at_root[len(own) :])
    assert len(at_root) - len(own) == 9  # backend, model, resumeFrom, dataset, output, training, nodes, procsPerNode, device


@both_kinds
def test_validations_name_a_field_that_exists_and_a_remedy(kind: str):
    schema = schema_of(kind)
    for base, scope in (("", schema), (".spec", schema["properties"]["spec"])):
        known = {path for path, _ in nodes(schema)}
        for each in scope["x-kubernetes-validations"]:
            assert base + each["fieldPath"] in known
            assert "; " in each["message"]
            assert "\n" not in each["message"] + each["rule"]


@both_kinds
def test_names_columns_and_subresource(kind: str):
    definition = crd(kind)
    names, version = definition["spec"]["names"], definition["spec"]["versions"][0]
    assert names["shortNames"] == [{"SFTJob": "sftj", "OSFTJob": "osftj"}[kind]]
    assert names["categories"] == ["kubetune"]
    assert definition["metadata"]["name"] == f"{names['plural']}.kubetune.dev"
    assert version["subresources"] == {"status": {}}
    columns = {each["name"]: each["jsonPath"] for each in version["additionalPrinterColumns"]}
    wide = {each["name"] for each in version["additionalPrinterColumns"] if each.get("priority")}
    assert [name for name in columns if name not in wide] == ["Phase", "Progress", "Loss", "ETA", "Nodes", "Restarts", "Age"]
    known = {path for path, _ in nodes(version["schema"]["openAPIV3Schema"])}
    plain = {re.sub(r"\[\?.*?\]", "[]", path) for path in columns.values()}
    assert {path for path in plain if not path.startswith(".metadata")} <= known


def as_the_server_sees(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema refuses unknown fields without saying so; JSON Schema must be told."""
    seen = {key: value for key, value in schema.items() if key not in ("properties", "items", "additionalProperties")}
    if "properties" in schema:
        seen["properties"] = {name: as_the_server_sees(each) for name, each in schema["properties"].items()}
        seen["additionalProperties"] = bool(schema.get(OPEN))
    for key in ("items", "additionalProperties"):
        if key in schema:
            seen[key] = as_the_server_sees(schema[key])
    return seen


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_the_schema_takes_what_the_models_take(case: Case):
    document = as_json(case.document())
    jsonschema.Draft4Validator(as_the_server_sees(schema_of(case.kind)["properties"]["spec"])).validate(document["spec"])


@pytest.mark.parametrize(
    "edit",
    [{"spec.training.learningRat": 1}, {"spec.training.unfreezeRankRatio": 1.5}, {"spec.nodes": 0}, {"spec.device": "tpu"}],
    ids=str,
)
def test_the_schema_refuses_what_needs_no_rule(edit: dict[str, Any]):
    spec = edited(SMALLEST["OSFTJob"], edit)["spec"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(as_the_server_sees(schema_of("OSFTJob")["properties"]["spec"])).validate(spec)


@both_kinds
def test_the_file_is_what_the_models_generate(kind: str):
    text = (ROOT / "crds" / file_name(kind)).read_text()
    assert text == crd_yaml(kind), "run scripts/generate.py"
    assert yaml.safe_load(text) == crd(kind)


def test_nothing_else_lies_in_crds():
    assert {path.name for path in (ROOT / "crds").iterdir()} == {file_name(kind) for kind in KINDS}


def test_bytes_do_not_depend_on_the_process():
    """Sets and hashes differ from one interpreter to the next."""
    program = "from kubetune.api.crd import crd_yaml; print(crd_yaml('OSFTJob'), end='')"
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert runs == {crd_yaml("OSFTJob")}
