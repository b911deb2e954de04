"""Where models, data and outputs lie: pvc://, configMap://, hf://, s3:// and absolute paths.

Every pattern is plain enough for both Python and RE2, because the CRD's CEL rules use the same ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["pvc", "configMap", "hf", "s3", "path"]
Role = Literal["directory", "file"]

MAX_URI = 1024

SEGMENT = r"[^/\x00-\x20\x7f]+"  # no blanks and control characters; \s is not the same set in RE2
PATH = rf"{SEGMENT}(?:/{SEGMENT})*"
OBJECT_NAME = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
REPO = r"[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*"
REVISION = r"[^/@\x00-\x20\x7f]+"

PATTERNS: dict[Role, dict[Scheme, str]] = {
    "directory": {
        "pvc": rf"pvc://(?P<name>{OBJECT_NAME})(?:/(?P<path>{PATH}))?/?",
        "hf": rf"hf://(?P<repo>{REPO})(?:@(?P<revision>{REVISION}))?",
        "s3": rf"s3://(?P<name>{OBJECT_NAME})(?:/(?P<path>{PATH}))?/?",
        "path": rf"(?P<path>/{PATH})/?",
    },
    "file": {
        "pvc": rf"pvc://(?P<name>{OBJECT_NAME})/(?P<path>{PATH})",
        "configMap": rf"configMap://(?P<name>{OBJECT_NAME})/(?P<path>[-._A-Za-z0-9]+)",
        "hf": rf"hf://(?P<repo>{REPO})(?:@(?P<revision>{REVISION}))?/(?P<path>{PATH})",
        "s3": rf"s3://(?P<name>{OBJECT_NAME})/(?P<path>{PATH})",
        "path": rf"(?P<path>/{PATH})",
    },
}
"""What a URI looks like where a directory is meant (model, output, checkpoint) and where a file is (data set)."""

FORMS: dict[Role, dict[Scheme, str]] = {
    "directory": {
        "pvc": "pvc://claim/path",
        "hf": "hf://org/name@revision",
        "s3": "s3://bucket/key",
        "path": "an absolute path in the pod",
    },
    "file": {
        "pvc": "pvc://claim/path/file.jsonl",
        "configMap": "configMap://name/key",
        "hf": "hf://org/name@revision/path/file.jsonl",
        "s3": "s3://bucket/key",
        "path": "an absolute path in the pod",
    },
}


class InvalidUriError(ValueError):
    """No URI that kubetune knows. `problem` and `remedy` are for the user."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}; {remedy}")


@dataclass(frozen=True)
class Uri:
    """A URI taken apart. What a scheme does not have is empty."""

    scheme: Scheme
    text: str
    name: str = ""
    """The PersistentVolumeClaim (pvc), ConfigMap (configMap) or bucket (s3)."""

    path: str = ""
    """Below the claim, bucket or repository, without a leading slash (empty: its root); a ConfigMap's key; or, for the
    scheme `path`, the absolute path itself. Never with a trailing slash."""

    repo: str = ""
    """org/name on the Hugging Face Hub."""

    revision: str = ""
    """Branch, tag or commit on the Hub; empty: the default branch."""

    @property
    def claim(self) -> str:
        """The PersistentVolumeClaim of a pvc:// URI."""
        return self.name

    @property
    def key(self) -> str:
        """The key of a configMap:// URI."""
        return self.path


def parse_uri(text: str, role: Role | None = None) -> Uri:
    """Takes a URI apart. `role` says what it must name; None: a directory or a file.

    Raises:
        InvalidUriError: not one of the known forms, longer than 1024 characters, or a path with "..".

    """
    check_length_and_steps(text)
    for each in (role,) if role else ("directory", "file"):
        found = match(text, PATTERNS[each])
        if found:
            return found
    raise InvalidUriError(f"{text!r} is not a URI that is known here", f"use {known_forms(role or 'file')}")


def check_length_and_steps(text: str) -> None:
    if len(text) > MAX_URI:
        raise InvalidUriError(f"a URI of {len(text)} characters", f"use at most {MAX_URI}")
    if ".." in text.split("/"):
        raise InvalidUriError(f"{text!r} steps upwards with '..'", "write the path without '..'")


def match(text: str, patterns: dict[Scheme, str]) -> Uri | None:
    for scheme, pattern in patterns.items():
        found = re.fullmatch(pattern, text, re.ASCII)
        if found:
            return Uri(scheme=scheme, text=text, **{key: value or "" for key, value in found.groupdict().items()})
    return None


def known_forms(role: Role, schemes: tuple[Scheme, ...] = ("pvc", "configMap", "hf", "s3", "path")) -> str:
    """The forms of these schemes in words: "a, b or c"."""
    forms = [FORMS[role][scheme] for scheme in schemes if scheme in FORMS[role]]
    return " or ".join((", ".join(forms[:-1]), forms[-1])) if len(forms) > 1 else forms[0]
