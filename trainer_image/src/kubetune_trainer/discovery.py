"""Finds algorithms and backends by their entry points (importlib.metadata): ours and those of any other installed distribution.

A plug-in is loaded when it is asked for. One that cannot be loaded is an error that names it, and nobody else's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from kubetune_trainer.errors import ConfigurationError

logger = logging.getLogger(__name__)

OWN = "kubetune"
"""Our distribution. What it registers, no other can take over by being installed; AlgorithmRegistry.register can."""


@dataclass(frozen=True)
class Group:
    """One kind of plug-in: its entry points' group, and what a class of it must have beside a `name` equal to its own."""

    what: str  # for messages
    name: str
    members: tuple[str, ...]


ALGORITHMS = Group("algorithm", "kubetune.algorithms", ("parameters", "verifiers", "train"))
BACKENDS = Group(
    "backend",
    "kubetune.backends",
    ("algorithm", "distributions", "run", "total_steps", "metrics_file", "parse_metrics", "found"),
)


@dataclass(frozen=True)
class Plugin:
    """What is registered under one name; more than one entry is a conflict."""

    group: Group
    name: str
    entries: tuple[EntryPoint, ...]

    @property
    def distribution(self) -> str:
        return distribution_of(self.entries[0])

    def load(self) -> Any:
        """The class.

        Raises:
            ConfigurationError: two distributions register the name, the import fails, or what is imported is no such class.

        """
        if len(self.entries) > 1:
            owners = " and ".join(distribution_of(entry) for entry in self.entries)
            raise ConfigurationError(self.group.what, self.name, f"is registered by {owners}", "uninstall all but one of them")
        (entry,) = self.entries
        try:
            found = entry.load()
        except Exception as error:
            raise self._broken(f"cannot be loaded ({type(error).__name__}: {error})") from error
        missing = [member for member in self.group.members if not hasattr(found, member)]
        if missing:
            raise self._broken(f"is no {self.group.what}: it has no {', '.join(missing)}")
        if getattr(found, "name", None) != self.name:
            raise self._broken(f"calls itself {getattr(found, 'name', None)!r}")
        return found

    def _broken(self, problem: str) -> ConfigurationError:
        (entry,) = self.entries
        where = f"{entry.value}, entry point of {self.distribution} in {self.group.name}"
        return ConfigurationError(self.group.what, self.name, f"({where}) {problem}", f"mend or uninstall {self.distribution}")


def distribution_of(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown distribution"


def installed(group: Group) -> dict[str, Plugin]:
    """What is registered in the group, by name: our own first, then by name. Nothing is loaded."""
    by_name: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group.name):
        by_name.setdefault(entry.name, []).append(entry)
    plugins = [Plugin(group, name, settled(group, name, entries)) for name, entries in by_name.items()]
    return {p.name: p for p in sorted(plugins, key=lambda p: (p.distribution != OWN, p.name))}


def settled(group: Group, name: str, entries: list[EntryPoint]) -> tuple[EntryPoint, ...]:
    """Ours alone where one of them is ours."""
    ours = [entry for entry in entries if distribution_of(entry) == OWN]
    if not ours:
        return tuple(entries)
    for other in entries:
        if other not in ours:
            logger.warning("%s %r of %s is not used: kubetune has one of that name", group.what, name, distribution_of(other))
    return tuple(ours)


def installed_algorithms() -> list[str]:
    """Their names."""
    return list(installed(ALGORITHMS))
