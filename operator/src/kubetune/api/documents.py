"""YAML as kubectl reads it. PyYAML alone takes 2e-5 for text, 1:30 for 90 and the last of two equal keys.

The rules of scalars are those of sigs.k8s.io/yaml (the YAML 1.1 of go-yaml v2), compared with what kubectl 1.36 sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
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


class Loader(yaml.SafeLoader):
    """SafeLoader with kubectl's idea of scalars, and no key twice."""

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
    ("bool", BOOLEAN, Loader.boolean),
    ("int", INTEGER, Loader.integer),
    ("float", FLOAT, Loader.float),
    ("null", NULL, yaml.SafeLoader.construct_yaml_null),
    ("merge", MERGE, yaml.SafeLoader.construct_yaml_str),  # as a value; as a key PyYAML merges
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, None)
    Loader.add_constructor(f"tag:yaml.org,2002:{tag}", construct)


def load_documents(text: str) -> list[dict[str, Any]]:
    """Every document of a YAML (or JSON) text, empty ones left out.

    Raises:
        InvalidJob: the text is no YAML, a key is there twice, or a document is no map; the field is the line.

    """
    try:
        documents = [each for each in yaml.load_all(text, Loader=Loader) if each is not None]
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "file"
        raise InvalidJob([FieldError(line, None, error.problem or "this is no YAML", "correct the YAML there")]) from error
    for each in documents:
        if not isinstance(each, dict):
            raise InvalidJob([FieldError("file", each, f"{each!r} is not a job", "write apiVersion, kind, metadata and spec")])
    return documents


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
