"""Why a job waits, failed or is slow. Pure: what is known of it in, findings with evidence and the next command out."""

from kubetune.explain.chain import explain
from kubetune.explain.commands import Commands
from kubetune.explain.evidence import Event, Evidence, Seen, evidence_of
from kubetune.explain.finding import Finding, Severity

__all__ = ["Commands", "Event", "Evidence", "Finding", "Seen", "Severity", "evidence_of", "explain"]
