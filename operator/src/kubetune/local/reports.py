"""The trainer's reports, merged into the job's status as the API server would: progress and checkpoints are the trainer's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from kubetune.cluster import Manifest
from kubetune_trainer.contract import MAX_CHECKPOINTS, Report


def read_report(file: Path) -> Report | None:
    """The latest report; None before the first. Raises ValueError if it is none: trainer and kubetune are of two versions."""
    if not file.exists():
        return None
    try:
        return Report.model_validate_json(file.read_text())
    except ValidationError as error:
        raise ValueError(f"{file} is no report of a trainer of this version: {error}") from error


def merge_report(status: Manifest, report: Report) -> Manifest:
    """The status with the report's progress and checkpoints.

    An attempt reports its own checkpoints, all of them; those of earlier attempts stay, for the next attempt may need them.
    """
    merged = dict(status)
    if report.progress is not None:
        merged["progress"] = report.progress.model_dump(mode="json", by_alias=True, exclude_none=True)
    reported = [c.model_dump(mode="json", by_alias=True, exclude_none=True) for c in report.checkpoints]
    uris, own = {c["uri"] for c in reported}, f"/attempt-{report.attempt}/"
    earlier = [c for c in status.get("checkpoints", []) if c["uri"] not in uris and own not in c["uri"]]
    if earlier or reported:
        merged["checkpoints"] = [*earlier, *reported][-MAX_CHECKPOINTS:]
    return merged
