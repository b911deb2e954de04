"""SARIF 2.1.0 (docs.oasis-open.org/sarif), which GitHub's code scanning and editors read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kubetune import __version__
from kubetune.api.errors import FieldError
from kubetune.validation.check import Checked

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
INVALID_JOB, INVALID_YAML = "invalid-job", "invalid-yaml"
RULES = {
    INVALID_JOB: "A field of an SFTJob or OSFTJob would be refused by the API server or by the operator.",
    INVALID_YAML: "The file cannot be read as YAML.",
}


def sarif(every: Sequence[Checked]) -> dict[str, Any]:
    """One run with a result an error."""
    driver = {
        "name": "kubetune",
        "version": __version__,
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()],
    }
    results = [result(each, error) for each in every for error in each.errors]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def result(each: Checked, error: FieldError) -> dict[str, Any]:
    rule = INVALID_JOB if each.kind else INVALID_YAML
    location: dict[str, Any] = {"artifactLocation": {"uri": uri(each.file)}}
    if error.line:
        location["region"] = {"startLine": error.line}
    return {
        "ruleId": rule,
        "ruleIndex": list(RULES).index(rule),
        "level": "error",
        "message": {"text": str(error)},
        "locations": [{"physicalLocation": location}],
    }


def uri(file: str) -> str:
    """A relative path as a relative reference, so that code scanning finds it in the repository."""
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
