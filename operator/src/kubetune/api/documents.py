"""YAML as kubectl reads it. PyYAML alone takes 2e-5 for text, 1:30 for 90 and the last of two equal keys.

The rules of scalars are those of sigs.k8s.io/yaml (the YAML 1.1 of go-yaml v2), compared with what kubectl 1.36 sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import yaml

from kubetune.api.errors import FieldError, InvalidJob

BOOLEANS = {"y": True, "yes": True, "on": True, "true": True, "n": False, "no": False, "off": False, "false": False}
BOOLEAN = re.compile(r"^(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)$")
NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
INTEGER = re.compile(r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)$")
FLOAT = re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
MERGE = re.compile(r"^<<$")


class Rules(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """kubectl's idea of scalars, and no key twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own class attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (each for each, _ in node.value if isinstance(each, yaml.ScalarNode)):
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def boolean(self, node: yaml.ScalarNode) -> bool:
        return BOOLEANS[node.value.lower()]

    def integer(self, node: yaml.ScalarNode) -> int:
        digits = node.value.replace("_", "")
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)  # YAML 1.1 writes octal without the o
        return int(f"{octal[1]}0o{octal[2]}" if octal else digits, base=0)

    def float(self, node: yaml.ScalarNode) -> float | str:
        text = node.value.lower()
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return node.value if math.isinf(number) and "inf" not in text else number  # 1E400 is text to Go


for tag, pattern, construct in (
    ("bool", BOOLEAN, Rules.boolean),
    ("int", INTEGER, Rules.integer),
    ("float", FLOAT, Rules.float),
    ("null", NULL, Rules.construct_yaml_null),
    ("merge", MERGE, Rules.construct_yaml_str),  # as a value; as a key PyYAML merges
):
    Rules.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, None)
    Rules.add_constructor(f"tag:yaml.org,2002:{tag}", construct)  # type: ignore[type-var]  # loaders are made of Rules below


class Loader(Rules, yaml.SafeLoader):
    """With PyYAML's own parser, whose errors say more, and where they really are."""


if yaml.__with_libyaml__:

    class FastLoader(Rules, yaml.CSafeLoader):
        """With libyaml's parser, in a tenth of the time."""

else:
    FastLoader = Loader  # type: ignore[assignment, misc]


@dataclass(frozen=True)
class SourceDocument:
    """A document and where its parts stand in the text."""

    content: dict[str, Any]
    node: yaml.Node

    @property
    def line(self) -> int:
        """The line on which it begins, from 1."""
        return line_at(self.node)

    def line_of(self, field: str) -> int:
        """The line of a field such as spec.template.volumes[0].name; of the block it is missing from, where it is not there."""
        return line_at(locate(self.node, field))


def line_at(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def locate(node: yaml.Node, field: str) -> yaml.Node:
    """The node of the key or item that a field's path leads to, as far as the path can be followed."""
    for key, value, rest in steps(node, field):
        return locate(value, rest) if rest and isinstance(value, yaml.CollectionNode) and leads_on(value, rest) else key
    return node


def leads_on(node: yaml.Node, field: str) -> bool:
    return next(steps(node, field), None) is not None


def steps(node: yaml.Node, field: str) -> Iterator[tuple[yaml.Node, yaml.Node, str]]:
    """(key or item, value, the path that is left) of what the path's beginning names. A key may itself hold dots."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            rest = field.removeprefix(str(key.value))
            if rest != field and (not rest or rest[0] in ".["):
                yield key, value, rest.removeprefix(".")
    elif isinstance(node, yaml.SequenceNode) and (item := re.match(r"\[(\d+)\]\.?", field)) and int(item[1]) < len(node.value):
        value = node.value[int(item[1])]
        yield value, value, field[item.end() :]


def load_documents(text: str) -> list[dict[str, Any]]:
    """Every document of a YAML (or JSON) text, empty ones left out.

    Raises:
        InvalidJob: the text is no YAML, a key is there twice, or a document is no map; the field is the line.

    """
    return [each.content for each in source_documents(text)]


def source_documents(text: str) -> list[SourceDocument]:
    """`load_documents`, with the places of everything. Raises as that does."""
    try:
        documents = fast_or_well_explained(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        said = error.problem or "this is no YAML"
        raise InvalidJob([FieldError(f"line {line}" if line else "file", None, said, "correct the YAML there", line)]) from error
    for each in documents:
        if not isinstance(each.content, dict):
            problem = f"{each.content!r} is not a job"
            raise InvalidJob([FieldError("file", each.content, problem, "write apiVersion, kind, metadata and spec", each.line)])
    return documents


def fast_or_well_explained(text: str) -> list[SourceDocument]:
    """By libyaml; what it refuses is read again by the parser with the better errors."""
    try:
        return list(loaded(FastLoader(text)))
    except yaml.MarkedYAMLError:
        list(loaded(Loader(text)))
        raise  # only libyaml refuses it


def loaded(loader: Any) -> Iterator[SourceDocument]:
    try:
        while loader.check_node():
            node = loader.get_node()
            content = loader.construct_document(node)
            if content is not None:
                yield SourceDocument(content, node)
    finally:
        loader.dispose()


def as_json(value: Any, path: str = "") -> Any:
    """A loaded document as an API server stores it: empty fields left out, 2.0 as 2, dates as text, keys as text.

    Raises:
        InvalidJob: it holds what JSON cannot say (infinity, binary data).

    """
    if isinstance(value, Mapping):
        named = {key if isinstance(key, str) else str(key).lower(): each for key, each in value.items()}
        return {key: as_json(each, f"{path}.{key}".lstrip(".")) for key, each in named.items() if each is not None}
    if isinstance(value, list | tuple):
        return [as_json(each, f"{path}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if value is None or isinstance(value, str | int):
        return value
    raise InvalidJob(
        [FieldError(path, value, f"{value!r} has no place in a job", "use text, finite numbers, true, false, lists and maps")]
    )
