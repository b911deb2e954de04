"""s3://bucket/key, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubetune_trainer.errors import ConfigurationError

SCHEME = "s3://"
FORM = re.compile(r"s3://(?P<bucket>[a-z0-9][-a-z0-9.]*[a-z0-9])(/(?P<key>.*))?")


@dataclass(frozen=True)
class Location:
    """A key, or what several keys have in common; without slashes at either end. An empty key: the whole bucket."""

    bucket: str
    key: str = ""

    @property
    def uri(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}".rstrip("/")

    @property
    def prefix(self) -> str:
        """What the keys below it begin with: that of `a` do not include those of `ab`."""
        return f"{self.key}/" if self.key else ""

    def below(self, *steps: str) -> Location:
        return Location(self.bucket, "/".join([*([self.key] if self.key else []), *steps]))


def parse(field: str, uri: str) -> Location:
    """Takes s3://bucket/key apart.

    Raises:
        ConfigurationError: it has not that form, or steps upwards.

    """
    match = FORM.fullmatch(uri)
    if match is None or ".." in uri.split("/"):
        problem, remedy = "is not of the form s3://bucket/key", "write for instance s3://models/granite, without '..'"
        raise ConfigurationError(field, uri, problem, remedy)
    return Location(match["bucket"], (match["key"] or "").strip("/"))
