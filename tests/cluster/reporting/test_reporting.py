"""The trainer's reporter against a real API server, and everything that its token must not be able to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attack_records import Refused
from reporting import REPORTER, Lab, body, checkpoint, report, say

from kubetune.api.crd import UNSEEN
from kubetune.cluster import ClusterError
from kubetune.controller.kubernetes_api import Request
from kubetune.controller.kubernetes_cluster import jobs_path
from kubetune_trainer.api_report import ReportError, apply_body, apply_path
from kubetune_trainer.contract import JobIdentity

pytestmark = pytest.mark.cluster

TRAINER = "trainer's pod"


@pytest.mark.parametrize(("kind", "algorithm"), [("SFTJob", "sft"), ("OSFTJob", "osft")])
def test_a_master_reports_on_its_own_job(lab: Lab, kind: str, algorithm: str):
    job = lab.job("teach", kind)
    before = lab.status(job)
    say(lab, job, lab.masters_token(f"teach-{algorithm}-1-master-0"), report(3, checkpoint(job, 3)))
    after = lab.status(job)
    assert after.pop("progress") == {"step": 3, "totalSteps": 10, "loss": 0.5}
    assert [each["uri"] for each in after.pop("checkpoints")] == [checkpoint(job, 3).uri]
    assert after == before, "the operator's part is as it was"


def test_a_report_may_come_before_the_operator_has_recorded_anything(lab: Lab):
    job = lab.job("teach", attempts=0)
    say(lab, job, lab.masters_token("teach-sft-1-master-0"), report(1))
    assert lab.status(job) == {**UNSEEN, "progress": {"step": 1, "totalSteps": 10, "loss": 0.5}}


def test_the_next_attempt_carries_the_checkpoints_on_and_the_last_one_is_no_longer_heard(lab: Lab):
    job = lab.job("teach")
    first = lab.masters_token("teach-sft-1-master-0")
    say(lab, job, first, report(3, checkpoint(job, 3)))
    lab.operators_part(job, attempts=2)
    second = lab.masters_token("teach-sft-2-master-0")
    say(lab, job, second, report(5, checkpoint(job, 5, attempt=2), attempt=2), earlier=(checkpoint(job, 3),))
    assert [each["step"] for each in lab.status(job)["checkpoints"]] == [3, 5]

    with pytest.raises(ReportError, match="has been replaced: attempt 2 reports now"):
        lab.reach(first).apply(apply_path(job), apply_body(job, report(4, checkpoint(job, 4))))
    assert lab.status(job)["progress"]["step"] == 5


def test_a_later_job_of_the_same_name_is_not_sent_to_the_earlier_ones_checkpoints(lab: Lab):
    """Its straggler bears the right name until it is gone; what it saved is not this job's."""
    job = lab.job("teach")
    token = lab.masters_token("teach-sft-1-master-0")
    earlier = job.model_copy(update={"uid": "0" * 36})
    with pytest.raises(ReportError, match="checkpoints below its own job's directory alone"):
        lab.reach(token).apply(apply_path(job), apply_body(job, report(4, checkpoint(earlier, 4))))
    assert "checkpoints" not in lab.status(job)


@dataclass(frozen=True)
class Scene:
    """A running job with its master and worker, and another job beside it."""

    lab: Lab
    own: JobIdentity
    other: JobIdentity
    namesake: JobIdentity
    pods: dict[str, Any]

    def apply(self, job: JobIdentity, *, by: str = "master", path: str | None = None, document: Any = None, **status: Any) -> None:
        """As the trainer applies, with the token of that pod."""
        token = self.lab.token(REPORTER, self.pods.get(by))
        self.lab.reach(token).apply(path or apply_path(job), document or body(job, **status))


@pytest.fixture
def scene(lab: Lab) -> Scene:
    names = {"master": "teach-sft-1-master-0", "worker": "teach-sft-1-worker-0", "likeness": "teach-sft-x-master-0"}
    pods = {role: lab.pod(name) for role, name in names.items()}
    return Scene(lab, lab.job("teach"), lab.job("other"), lab.job("teach", "OSFTJob"), pods)


STEP = {"progress": {"step": 9}}
OTHERS = {"step": 1, "bytes": 1, "kind": "full-state", "verified": True}
PAST = "2026-01-01T12:00:00Z"
FORGED: dict[str, Any] = {
    "phase": {"phase": "Succeeded"},
    "conditions": {
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": PAST}]
    },
    "attempts": {"attempts": [{"number": 1, "pyTorchJob": "mine", "started": PAST}]},
    "another attempt": {"attempts": [{"number": 2, "pyTorchJob": "mine", "started": PAST}]},
    "restarts": {"restarts": 7},
    "failure": {"failure": {"class": "UserError", "reason": "r", "message": "m"}},
    "finalCheckpoint": {"finalCheckpoint": {"uri": "u", "step": 1, "bytes": 1, "kind": "hf", "verified": True}},
    "completionTime": {"completionTime": PAST},
}
SPEC_CHANGE = {"nodes": 7}


def spec_path(job: JobIdentity) -> str:
    return apply_path(job).replace("/status", "")


ATTACKS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "another job's status": (lambda s: s.apply(s.other, **STEP), "only its own master may"),
    "another kind's job of the same name": (lambda s: s.apply(s.namesake, **STEP), "only its own master may"),
    "a worker's token": (lambda s: s.apply(s.own, by="worker", **STEP), "pod teach-sft-1-worker-0 may not write"),
    "a pod that is called almost so": (lambda s: s.apply(s.own, by="likeness", **STEP), "pod teach-sft-x-master-0 may not write"),
    "a token that no pod has": (lambda s: s.apply(s.own, by="nobody", **STEP), "a token that is not bound to a pod"),
    "the spec": (
        lambda s: s.apply(s.own, path=spec_path(s.own), document={**body(s.own), "spec": SPEC_CHANGE}),
        'cannot patch resource "sftjobs" in API group',
    ),
    "a checkpoint on another volume": (
        lambda s: s.apply(
            s.own, checkpoints=[{**OTHERS, "uri": f"pvc://theirs/{s.own.namespace}-teach-{s.own.uid[:8]}/attempt-1/x"}]
        ),
        "below its own job's directory alone",
    ),
    "another job's checkpoint": (
        lambda s: s.apply(s.own, checkpoints=[{**OTHERS, "uri": checkpoint(s.other, 1).uri}]),
        "below its own job's directory alone",
    ),
    "what the operator owns, unchanged, to keep it alive": (
        lambda s: s.apply(s.own, phase="Running", **STEP),
        "may own status.progress and status.checkpoints alone",
    ),
    "the operator's own field manager": (
        lambda s: s.apply(s.own, path=apply_path(s.own).replace(REPORTER, "kubetune"), **STEP),
        "403",
    ),
    **{
        f"forged {what}": (
            lambda s, forged=forged: s.apply(s.own, **STEP, **forged),
            "status.progress and status.checkpoints alone",
        )
        for what, forged in FORGED.items()
    },
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_trainer_must_not_do(scene: Scene, attack: str, refused: Refused):
    do, refusal = ATTACKS[attack]
    jobs = (scene.own, scene.other, scene.namesake)
    before = [scene.lab.get(job) for job in jobs]
    with pytest.raises(ReportError) as caught:
        do(scene)
    assert str(caught.value).startswith("403 ")
    assert refusal in str(caught.value)
    assert [scene.lab.get(job) for job in jobs] == before
    scene.apply(scene.own, **STEP)  # and what it may, it still may
    assert scene.lab.status(scene.own)["progress"] == {"step": 9}
    refused(TRAINER, attack, caught.value)


def test_the_status_of_a_job_in_another_namespace(
    scene: Scene, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory, refused: Refused
):
    """Where a job of the same name has a master of the same name."""
    elsewhere = Lab(kubeconfig, f"{scene.lab.namespace}-2", tmp_path_factory.mktemp("elsewhere"))
    elsewhere.open()
    try:
        theirs = elsewhere.job("teach")
        with pytest.raises(ReportError, match=r"403 .* cannot patch resource") as caught:
            scene.apply(theirs, **STEP)
        assert "progress" not in elsewhere.status(theirs)
        refused(TRAINER, "the status of a job of the same name in another namespace", caught.value)
    finally:
        elsewhere.close()


def test_a_merge_patch_of_a_forged_phase(scene: Scene, refused: Refused):
    master = scene.lab.as_account(scene.lab.token(REPORTER, scene.pods["master"]))
    path = f"{jobs_path('SFTJob', scene.lab.namespace)}/teach/status"
    patch = Request("PATCH", path, {"fieldManager": REPORTER}, {"status": {"phase": "Succeeded"}}, "application/merge-patch+json")
    with pytest.raises(ClusterError, match=r"status\.progress and status\.checkpoints alone") as caught:
        master.json(patch)
    assert scene.lab.status(scene.own)["phase"] == "Running"
    refused(TRAINER, "a forged phase, by merge patch", caught.value)


READS = ("/api/v1/namespaces/{}/secrets", "/api/v1/namespaces/{}/pods", "/apis/kubetune.dev/v1alpha1/namespaces/{}/sftjobs")


@pytest.mark.parametrize("path", READS)
def test_a_master_reads_nothing(scene: Scene, path: str, refused: Refused):
    master = scene.lab.as_account(scene.lab.token(REPORTER, scene.pods["master"]))
    with pytest.raises(ClusterError, match="forbidden") as caught:
        master.json(Request("GET", path.format(scene.lab.namespace)))
    refused(TRAINER, f"reading {path.rpartition('/')[2]}", caught.value)


def test_an_account_of_the_users_own_reports_once_it_is_bound(lab: Lab):
    """And is held to the same: its own job, progress and checkpoints."""
    job = lab.job("teach")
    own = f"/api/v1/namespaces/{lab.namespace}/serviceaccounts"
    lab.api.json(Request("POST", own, body={"metadata": {"name": "buckets"}}))
    token = lab.token("buckets", lab.pod("teach-sft-1-master-0", "buckets"))
    with pytest.raises(ReportError, match="cannot patch resource"):
        lab.reach(token).apply(apply_path(job), apply_body(job, report(1)))

    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "buckets"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": REPORTER},
        "subjects": [{"kind": "ServiceAccount", "name": "buckets", "namespace": lab.namespace}],
    }
    lab.api.json(Request("POST", f"/apis/{group}/v1/namespaces/{lab.namespace}/rolebindings", body=binding))
    say(lab, job, token, report(2))
    assert lab.status(job)["progress"]["step"] == 2
    with pytest.raises(ReportError, match="only its own master may"):
        lab.reach(token).apply(apply_path(lab.job("other")), body(job.model_copy(update={"name": "other"}), **STEP))
    with pytest.raises(ReportError, match=r"status\.progress and status\.checkpoints alone"):
        lab.reach(token).apply(apply_path(job), body(job, phase="Succeeded"))
