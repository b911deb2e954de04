"""Histories made by hand, for the judge of the chaos."""

from __future__ import annotations

import json
from typing import Any

from e2e.chaos.history import Action, History, Manifest, Record
from kubetune.cluster import ATTEMPT, JOB_UID

JOB = "uid-of-teach"
FACTS = {"settle_seconds": 30.0, "planned": ["teach"]}


class Story:
    """Writes in the order in which they are told, one a second."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.actions: list[Action] = [Action(0.0, "create job", "teach")]
        self._attempts: list[Manifest] = []
        self._last: dict[str, Manifest] = {}

    def history(self, **facts: Any) -> History:
        return History(tuple(self.records), tuple(self.actions), calm=100.0, facts={**FACTS, **facts})

    @property
    def time(self) -> float:
        return float(len(self.records))

    def write(self, stored: Manifest, *, deleted: bool = False) -> Story:
        self.records.append(Record(len(self.records) + 1, self.time + 1, stored, deleted))
        self._last[stored["metadata"]["uid"]] = stored
        return self

    def did(self, what: str, target: str = "", *, time: float | None = None) -> Story:
        self.actions.append(Action(self.time if time is None else time, what, target))
        return self

    def gone(self, uid: str) -> Story:
        return self.write(self._last[uid], deleted=True)

    # the job

    def job(
        self, phase: str = "", *, limit: int = 3, failure: str = "", attempts: list[Manifest] | None = None, **status: Any
    ) -> Story:
        listed = [dict(a) for a in (self._attempts if attempts is None else attempts)]
        counted = sum(1 for a in listed[:-1] if a.get("reason") not in ("Suspended", "Preempted"))
        said = {"attempts": listed, "restarts": counted, **({"phase": phase} if phase else {}), **status}
        said |= {"failure": {"class": failure}} if failure else {}
        metadata = {"name": "teach", "uid": JOB}
        return self.write({"kind": "SFTJob", "metadata": metadata, "spec": {"runPolicy": {"backoffLimit": limit}}, "status": said})

    def event(self, reason: str, text: str = "", *, uid: str = "") -> Story:
        metadata = {"name": "event", "uid": uid or f"event-{len(self.records)}"}
        return self.write(
            {"kind": "Event", "metadata": metadata, "reason": reason, "message": text, "involvedObject": {"uid": JOB}}
        )

    def lease(self, holder: str, *, time: float) -> Story:
        metadata = {"name": "kubetune-controller", "uid": "lease"}
        stored = {"kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": holder}}
        self.records.append(Record(len(self.records) + 1, time, stored))
        return self

    # an attempt

    def child(self, number: int, *conditions: str, uid: str = "") -> Story:
        status = {"conditions": [{"type": kind, "status": "True"} for kind in conditions]}
        return self.write({"kind": "PyTorchJob", "metadata": self._labelled(f"teach-sft-{number}", number, uid), "status": status})

    def pod(self, number: int, role: str = "master", phase: str = "Running", *, code: int | None = None, says: Any = None) -> Story:
        metadata = self._labelled(f"teach-sft-{number}-{role}-0", number)
        metadata["labels"]["training.kubeflow.org/replica-type"] = role
        metadata["ownerReferences"] = [{"uid": f"teach-sft-{number}"}]
        ended = {"terminated": {"exitCode": code, "message": json.dumps(says) if says else ""}} if code is not None else {}
        status = {"phase": phase, "containerStatuses": [{"name": "pytorch", "state": ended}]}
        return self.write({"kind": "Pod", "metadata": metadata, "status": status})

    def _labelled(self, name: str, number: int, uid: str = "") -> Manifest:
        return {"name": name, "uid": uid or name, "labels": {JOB_UID: JOB, ATTEMPT: str(number)}}

    def starts(self, number: int) -> Story:
        """The child, the record of it, its event where it is not the first, its master."""
        resumed = bool(self._attempts) and self._attempts[-1].get("reason") == "Suspended"
        self._attempts.append({"number": number, "pyTorchJob": f"teach-sft-{number}"})
        self.child(number).job("Starting")
        if number > 1:
            self.event("Resumed" if resumed else "Restarted", f"attempt {number} (x) was started")
        return self.pod(number)

    def fails(self, number: int, reason: str = "CudaOOM", *, phase: str = "Restarting", **status: Any) -> Story:
        """The master fails, the status says so, the child and its pods go."""
        self.pod(number, phase="Failed", code=1)
        self.ends(number, reason).job(phase, **status).event("AttemptFailed", f"attempt {number}: {reason}: it broke")
        return self.gone(f"teach-sft-{number}").gone(f"teach-sft-{number}-master-0") if phase == "Restarting" else self

    def ends(self, number: int, reason: str) -> Story:
        self._attempts[number - 1] |= {"ended": "now", "reason": reason}
        return self

    def succeeds(self, number: int) -> Story:
        self.pod(number, phase="Succeeded", code=0, says=reached_end(number)).child(number, "Succeeded")
        return self.ends(number, "Succeeded").job("Succeeded").event("Succeeded")


def reached_end(attempt: int) -> Manifest:
    return {"reachedEnd": True, "attempt": attempt, "step": 10, "checkpoint": {"verified": True}}


def good() -> Story:
    """Fails once, then succeeds."""
    return Story().job().starts(1).fails(1).starts(2).succeeds(2)
