"""Rules about where things come from and go to."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetune.api.metadata import MAX_NAME, NAME_PATTERN
from kubetune.api.rule import Document, Finding, Rule, at, block, text, when
from kubetune.api.uri import MAX_URI, PATTERNS, InvalidUriError, Role, Scheme, known_forms, parse_uri

SOURCES: dict[str, tuple[Role, tuple[Scheme, ...]]] = {
    "spec.model.uri": ("directory", ("pvc", "hf", "s3", "path")),
    "spec.dataset.uri": ("file", ("pvc", "configMap", "hf", "s3", "path")),
    "spec.output.uri": ("directory", ("pvc", "s3", "path")),
    "spec.resumeFrom.uri": ("directory", ("pvc", "s3", "path")),
}
"""Which URIs are taken where."""


def uri_rule(field: str) -> Rule:
    role, schemes = SOURCES[field]
    forms = known_forms(role, schemes)
    return Rule(
        name=f"{field.removeprefix('spec.').replace('.', '-').lower()}-is-well-formed",
        field=field,
        message="not a URI that is known here",
        remedy=f"use {forms}, without '..'",
        find=well_formed(field, role, schemes),
        cel=uri_cel(field, role, schemes),
        cel_message=f"'\"' + self.{field.removeprefix('spec.')} + '\" is not a URI that is known here'",
    )


def well_formed(field: str, role: Role, schemes: tuple[Scheme, ...]) -> Callable[[Document], list[Finding]]:
    def find(doc: Document) -> list[Finding]:
        uri = text(doc, field)
        if uri is None or len(uri) > MAX_URI:  # the schema bounds the length
            return []
        try:
            scheme = parse_uri(uri, role).scheme
        except InvalidUriError as error:
            remedy = f"use {known_forms(role, schemes)}" if "known" in error.problem else error.remedy
            return [Finding(field, uri, error.problem, remedy)]
        return when(scheme not in schemes, field, uri, f"{uri!r} is not a URI that is known here")

    return find


def uri_cel(field: str, role: Role, schemes: tuple[Scheme, ...]) -> str:
    """`present(field) -> it matches one of the schemes' patterns and has no '..'`, parents that may be absent guarded."""
    path = field.removeprefix("spec.").split(".")
    steps = [".".join(["self", *path[: depth + 1]]) for depth in range(len(path))]
    absent = " || ".join(f"!has({step})" for step in steps)
    pattern = "|".join(re.sub(r"\?P<\w+>", "?:", PATTERNS[role][scheme]) for scheme in schemes)
    return f"{absent} || ({steps[-1]}.matches(r'^({pattern})$') && !('..' in {steps[-1]}.split('/')))"


def one_starting_point(doc: Document) -> list[Finding]:
    both = at(doc, "spec.model") is not None and at(doc, "spec.resumeFrom") is not None
    return when(both, "spec.resumeFrom", at(doc, "spec.resumeFrom"))


def some_starting_point(doc: Document) -> list[Finding]:
    spec = block(doc, "spec")
    return when(bool(spec) and spec.get("model") is None and spec.get("resumeFrom") is None, "spec.model")


def one_checkpoint(doc: Document) -> list[Finding]:
    start = at(doc, "spec.resumeFrom")
    given = [name for name in ("jobRef", "uri") if block(doc, "spec.resumeFrom").get(name) is not None]
    return when(isinstance(start, dict) and len(given) != 1, "spec.resumeFrom", start)


def not_from_itself(doc: Document) -> list[Finding]:
    name, kind = text(doc, "spec.resumeFrom.jobRef.name"), text(doc, "spec.resumeFrom.jobRef.kind")
    broken = name is not None and name == at(doc, "metadata.name") and kind in (None, at(doc, "kind"))
    return when(broken, "spec.resumeFrom.jobRef", name)


def name_fits(doc: Document) -> list[Finding]:
    name = text(doc, "metadata.name")
    if name is None or (re.fullmatch(NAME_PATTERN, name) and len(name) <= MAX_NAME):
        return []
    long = f"{name!r} has {len(name)} characters, more than {MAX_NAME}"
    return [Finding("metadata.name", name, long if len(name) > MAX_NAME else f"{name!r} cannot be a job's name")]


SOURCE_RULES = (
    *(uri_rule(field) for field in SOURCES),
    Rule(
        name="one-starting-point",
        field="spec.resumeFrom",
        message="model and resumeFrom are both set: two sources of one thing",
        remedy="leave out one of them",
        find=one_starting_point,
        cel="!has(self.model) || !has(self.resumeFrom)",
    ),
    Rule(
        name="some-starting-point",
        field="spec.model",
        message="neither model nor resumeFrom is set: there is nothing to train",
        remedy="set model.uri, for instance hf://org/name@main",
        find=some_starting_point,
        cel="has(self.model) || has(self.resumeFrom)",
    ),
    Rule(
        name="one-checkpoint",
        field="spec.resumeFrom",
        message="exactly one of jobRef and uri is needed",
        remedy="set jobRef.name for a job's final checkpoint, or uri for a checkpoint's directory",
        find=one_checkpoint,
        cel="!has(self.resumeFrom) || has(self.resumeFrom.jobRef) != has(self.resumeFrom.uri)",
    ),
    Rule(
        name="not-from-itself",
        scope="",
        field="spec.resumeFrom.jobRef",
        message="names this job itself",
        remedy="name an earlier job; a job's own attempts are resumed without being asked",
        find=not_from_itself,
        cel="!has(self.spec.resumeFrom) || !has(self.spec.resumeFrom.jobRef)"
        " || self.spec.resumeFrom.jobRef.name != self.metadata.name"
        " || (has(self.spec.resumeFrom.jobRef.kind) && self.spec.resumeFrom.jobRef.kind != self.kind)",
    ),
    Rule(
        name="name-fits",
        scope="",
        field="metadata.name",
        message="this cannot be a job's name: its pods and Services carry it, too",
        remedy=f"use at most {MAX_NAME} lower-case letters, digits and '-', starting with a letter and not ending with '-'",
        find=name_fits,
        cel=f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches(r'{NAME_PATTERN}')",
    ),
)
