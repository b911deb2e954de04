"""Which job is meant: a name, or a kind and a name as kubectl writes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from kubetune.api.base import GROUP, VERSION
from kubetune.client.errors import NotFoundError

KINDS = {"SFTJob": ("sftjob", "sftjobs", "sftj"), "OSFTJob": ("osftjob", "osftjobs", "osftj")}
"""As kubectl takes them: singular, plural, short name."""

SUFFIXES = (f".{VERSION}.{GROUP}", f".{GROUP}")


@dataclass(frozen=True)
class Target:
    """A job by name; without a kind it is looked for among both."""

    name: str
    namespace: str
    kind: str | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,) if self.kind else tuple(KINDS)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind else self.name


def parse_target(text: str, namespace: str) -> Target:
    """`name` or `kind/name`. Raises NotFoundError for a kind that is none of ours."""
    kind, slash, name = text.rpartition("/")
    return Target(name, namespace, kind_named(kind) if slash else None)


def kind_named(word: str) -> str:
    """The kind by any of its names. Raises NotFoundError."""
    plain = word.lower()
    for suffix in SUFFIXES:
        plain = plain.removesuffix(suffix)
    found = next((kind for kind, names in KINDS.items() if plain in names), None)
    if found is None:
        raise NotFoundError(f"{word!r} is no kind of kubetune's; write sftjob/NAME or osftjob/NAME")
    return found


def is_kind(word: str) -> bool:
    """Whether the word alone means all jobs of a kind."""
    return any(word.lower() in names for names in KINDS.values())


def typed_name(kind: str, name: str) -> str:
    """As it can be typed after any of kubetune's and kubectl's commands."""
    return f"{KINDS[kind][0]}/{name}"


def nearest(target: Target, there: Iterable[tuple[str, str]]) -> str:
    """What to do about a job that is not there; `there` has kind and name of those that are."""
    known = {name: kind for kind, name in there}
    if not known:
        return f"there is no job in namespace {target.namespace}: name another with -n, or list all with `kubetune get -A`"
    near = next(iter(get_close_matches(target.name, known, n=1)), None)
    if near:
        return f"did you mean {typed_name(known[near], near)}?"
    return f"`kubetune get` lists what is in namespace {target.namespace}; name another with -n"
