"""One table of accepted and rejected jobs: run against pydantic in the unit tests, and against a real API server's CRDs.

A case is an edit of the smallest job of its kind. A rejected one names the field that is complained of and a fragment of what
is said; the API server must reject it, too, and name the field (indices and keys of maps left out).
"""

from __future__ import annotations

from case import ABSENT, SMALLEST, Case, Change, edited
from cases_accepted import ACCEPTED
from cases_changes import CHANGES
from cases_rejected import REJECTED

CASES: list[Case] = [*ACCEPTED, *REJECTED]

__all__ = ["ABSENT", "ACCEPTED", "CASES", "CHANGES", "REJECTED", "SMALLEST", "Case", "Change", "edited"]
