"""What the API server refused, in the user's terms. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kubetune.api import FieldError, InvalidJob, parse_job
from kubetune.client.errors import (
    ClientError,
    ConflictError,
    ForbiddenError,
    NoClusterError,
    NotFoundError,
    NotInstalledError,
    UnavailableError,
)
from kubetune.cluster import ClusterError

UNKNOWN_KIND = ("could not find the requested resource", "404 page not found")
"""The API server's words for a path that it does not serve."""

INSTALL = "install kubetune: `kubetune crds | kubectl apply --server-side -f -`, then the operator (README, On Kubernetes)"
CHECK = "check KUBECONFIG, or name another with --kubeconfig or --context; `--local` is this machine's embedded cluster"
KNOWN: dict[int, tuple[type[ClientError], str]] = {
    401: (ForbiddenError, "the cluster does not know you: log in to it again, or name another --context"),
    403: (ForbiddenError, "ask an administrator for that right, or work in a namespace of yours (-n)"),
    404: (NotFoundError, ""),
    409: (ConflictError, "look at it with `kubetune get` and try again"),
    429: (UnavailableError, "try again later"),
}

QUOTED = re.compile(r'^(?P<kind>[^:]*): (?P<value>"(?:[^"\\]|\\.)*"|\{.*?\}|\S+): (?P<message>.*)$', re.DOTALL)


def translated(error: ClusterError) -> ClientError:
    """The error that the client raises in its place."""
    text, status = str(error), error.status
    if status is None:
        return NoClusterError(text if text.startswith("no cluster") else f"the cluster does not answer ({plain(text)}); {CHECK}")
    if status == 404 and unknown(text):
        return NotInstalledError(f"this cluster knows no such resource; {INSTALL}")
    kind, remedy = KNOWN.get(status, (UnavailableError, "try again later") if status >= 500 else (ClientError, ""))
    return kind(f"{text}; {remedy}" if remedy else text)


def plain(text: str) -> str:
    """Of urllib3's words about a connection the address and the reason."""
    where, reasons = re.search(r"host='([^']*)', port=(\d+)", text), re.findall(r"\[Errno -?\d+\] ([^'\")]+)", text)
    return f"{where[1]}:{where[2]}: {reasons[-1]}" if where and reasons else text


def unknown(text: str) -> bool:
    """Whether the path is not served at all."""
    return any(words in text for words in UNKNOWN_KIND)


def invalid(error: ClusterError, document: Mapping[str, Any]) -> InvalidJob | None:
    """What is wrong with the document, if that is why it was refused: in our own words, else in the API server's."""
    if error.status not in (400, 422):
        return None
    try:
        parse_job(document)
    except InvalidJob as ours:
        return ours
    return InvalidJob(list(field_errors(getattr(error, "causes", ()), str(error))))


def field_errors(causes: Iterable[Mapping[str, str]], otherwise: str) -> Iterable[FieldError]:
    """One a cause; of an answer without any, its whole text."""
    several = list(causes)
    if not several:
        yield FieldError("job", None, otherwise, "mend that")
    for cause in several:
        found = QUOTED.match(cause.get("message", ""))
        message = found["message"] if found else cause.get("message", "")
        problem, _, remedy = message.partition("; ")
        yield FieldError(cause.get("field", "job"), found["value"] if found else None, problem, remedy or "see `kubectl explain`")
