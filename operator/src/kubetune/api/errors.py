"""What is wrong with a job, in the user's terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One thing to change. `str` of it is one printable line."""

    field: str
    """Path in the document, for instance spec.training.unfreezeRankRatio."""

    value: object
    """What stands there; None if nothing does."""

    message: str
    """What is wrong, with the value where that helps."""

    remedy: str
    """What to do."""

    line: int | None = None
    """Where it stands in the file, from 1, where that is known."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}; {self.remedy}"


class InvalidJob(ValueError):  # noqa: N818 - a state of the document, read as such where it is caught
    """A document that is no valid job, with everything that is wrong with it."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))
