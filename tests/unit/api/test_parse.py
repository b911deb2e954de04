from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cases import ABSENT, SMALLEST, edited

from kubetune.api import InvalidJob, JobStatus, OSFTJob, Phase, SFTJob, parse_job, parse_status

T = "spec.training."


def errors_of(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidJob) as caught:
        parse_job(document)
    return {error.field: f"{error.message}; {error.remedy}" for error in caught.value.errors}


def test_python_names_are_snake_case():
    job = parse_job(edited(SMALLEST["OSFTJob"], {"spec.runPolicy": {"backoffLimit": 0}, "spec.nodes": 2}))
    assert isinstance(job, OSFTJob)
    assert (job.algorithm, job.backend, job.metadata.namespace) == ("osft", "mini-trainer", "default")
    assert job.spec.training.unfreeze_rank_ratio == 0.3
    assert job.spec.run_policy.effective_backoff_limit == 0
    assert (job.spec.nodes, job.spec.device) == (2, "gpu")


def test_an_sft_job_needs_no_training_block():
    job = parse_job(SMALLEST["SFTJob"])
    assert isinstance(job, SFTJob)
    assert job.spec.training.given() == {}
    assert job.backend == "instructlab-training"


def test_all_errors_are_said_at_once():
    """Of the schema and of the rules: a job is corrected in one go."""
    broken = edited(
        SMALLEST["OSFTJob"],
        {
            "metadata.name": "7b",
            T + "unfreezeRankRatio": 1.5,
            T + "maxSeqLen": ABSENT,
            T + "saveFinalCheckpoint": False,
            T + "learningRat": 1,
            "spec.nodes": 2,
            "spec.output.uri": "/results",
            "spec.tracking": {"mlflow": {"trackingUri": ""}},
            "spec.template": {"env": [{"name": "OK"}, {"name": "RANK"}]},
        },
    )
    assert set(errors_of(broken)) == {
        "metadata.name",
        T + "unfreezeRankRatio",
        T + "maxSeqLen",
        T + "saveFinalCheckpoint",
        T + "learningRat",
        "spec.output.uri",
        "spec.tracking.mlflow.trackingUri",
        "spec.template.env[1].name",
    }


def test_an_error_reads_as_one_sentence():
    with pytest.raises(InvalidJob) as caught:
        parse_job(edited(SMALLEST["OSFTJob"], {T + "learningRat": 1e-5, T + "unfreezeRankRatio": 1.5}))
    assert str(caught.value).splitlines() == [
        "spec.training.unfreezeRankRatio: 1.5 is more than 1; use at most 1",
        "spec.training.learningRat: unknown field; did you mean learningRate?",
    ]
    assert [error.value for error in caught.value.errors] == [1.5, 1e-5]


@pytest.mark.parametrize(
    ("edit", "field", "fragment"),
    [
        ({"kind": "LoRAJob"}, "kind", "known here: OSFTJob, SFTJob"),
        ({"kind": "SFTjob"}, "kind", "did you mean SFTJob?"),
        ({"kind": ABSENT}, "kind", "required"),
        ({"apiVersion": "kubetune.dev/v1"}, "apiVersion", "use kubetune.dev/v1alpha1"),
        ({"apiVersion": ABSENT}, "apiVersion", "use kubetune.dev/v1alpha1"),
        ({"metadata": ABSENT}, "metadata", "required"),
        ({"metadata.name": ABSENT}, "metadata.name", "required"),
        ({"metadata.name": 7}, "metadata.name", "not text"),
        ({"metadata.lables": {}}, "metadata.lables", "did you mean labels?"),
        ({"metadata.namespace": "../etc"}, "metadata.namespace", "not well-formed"),
        ({"extra": 1}, "extra", "unknown field"),
        ({"spec.training.learningRate": float("inf")}, "spec.training.learningRate", "finite"),
        ({"spec.training.learningRate": float("nan")}, "spec.training.learningRate", "finite"),
    ],
)
def test_the_head_of_a_document(edit: dict[str, Any], field: str, fragment: str):
    said = errors_of(edited(SMALLEST["SFTJob"], edit))
    assert list(said) == [field]
    assert fragment in said[field]


@pytest.mark.parametrize("document", [None, [], "SFTJob", 3])
def test_something_that_is_no_map(document: Any):
    assert "is not a job" in errors_of(document)[""]


def test_both_heads_wrong_are_both_said():
    assert set(errors_of({"apiVersion": "v1", "kind": "Pod"})) == {"apiVersion", "kind"}


FIELDS = ("model", "dataset", "output", "training", "nodes", "procsPerNode", "resources", "template", "runPolicy", "resumeFrom")
LISTS_AND_MAPS = (
    "resources.limits",
    "resources.requests",
    "template.env",
    "template.volumes",
    "template.volumeMounts",
    "template.labels",
)


@pytest.mark.parametrize("field", [*FIELDS, *LISTS_AND_MAPS])
@pytest.mark.parametrize("value", [0, 1.5, True, "text", [3], [[1]], [{"name": 3, "mountPath": 4}]], ids=str)
def test_rules_survive_any_shape(field: str, value: Any):
    """A rule that looks into the document must not fall over what the schema complains of."""
    edit = {f"spec.{field}": value, "spec.output.uri": "/x"} if field != "output" else {"spec.output": value}
    if (field, value) not in (("nodes", True), ("procsPerNode", True)):
        edit = {"spec.nodes": 2, **edit}
    said = errors_of(edited(SMALLEST["SFTJob"], edit))
    assert any(each.startswith(f"spec.{field}") for each in said)


def test_what_an_api_server_adds_is_tolerated():
    stored = edited(
        SMALLEST["SFTJob"],
        {
            "metadata.namespace": "team",
            "metadata.uid": "0b5f4b0e-1111-2222-3333-444455556666",
            "metadata.resourceVersion": "42",
            "metadata.generation": 3,
            "metadata.creationTimestamp": "2026-01-01T00:00:00Z",
            "metadata.deletionTimestamp": "2026-01-02T00:00:00Z",
            "metadata.finalizers": ["kubetune.dev/x"],
            "metadata.managedFields": [{"manager": "kubectl"}],
            "metadata.ownerReferences": [{"kind": "Workflow", "name": "w"}],
            "metadata.aFieldOfTheFuture": {"a": 1},
        },
    )
    metadata = parse_job(stored).metadata
    assert (metadata.uid[:8], metadata.resource_version, metadata.generation) == ("0b5f4b0e", "42", 3)
    assert metadata.deletion_timestamp == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert metadata.finalizers == ["kubetune.dev/x"]


def test_fields_without_a_value_are_absent():
    """As the API server has it: null is dropped."""
    written = edited(SMALLEST["SFTJob"], {"spec.device": None, "spec.training": {"seed": None}, "spec.template": {"env": None}})
    assert parse_job(written).to_dict()["spec"] == {**SMALLEST["SFTJob"]["spec"], "training": {}, "template": {}}


def attempt(number: int, **more: Any) -> dict[str, Any]:
    return {"number": number, "pyTorchJob": f"teach-sft-{number}", "started": "2026-01-01T00:00:00Z", **more}


def test_the_status_is_read():
    status = {"phase": "Running", "restarts": 1, "attempts": [attempt(1), attempt(2)], "specHash": "a" * 64}
    job = parse_job({**SMALLEST["SFTJob"], "status": status})
    assert job.status.phase is Phase.RUNNING
    assert [each.number for each in job.status.attempts] == [1, 2]
    assert job.to_dict()["status"]["restarts"] == 1


def test_a_status_of_a_newer_version_is_read_as_far_as_it_goes():
    status = {
        "phase": "Hibernating",
        "restarts": 2,
        "novelty": {"a": 1},
        "conditions": [
            {"type": "Valid", "status": "True", "reason": "Ok", "lastTransitionTime": "2026-01-01T00:00:00Z", "more": 1},
            {"type": "Broken"},
        ],
        "attempts": [attempt(number, more=[1]) for number in range(1, 26)],
        "failure": {"class": "Unheard", "reason": "X", "message": "y"},
        "progress": {"step": 7, "gpuHours": 3},
    }
    read = parse_status(status)
    assert (read.phase, read.restarts, read.failure) == (None, 2, None)
    assert [each.type for each in read.conditions] == ["Valid"]
    assert [each.number for each in read.attempts] == list(range(6, 26)), "the oldest go first"
    assert read.progress is not None
    assert read.progress.step == 7


@pytest.mark.parametrize("status", [{}, {"phase": 3}, {"conditions": "x"}, {"attempts": [1, 2]}, {"progress": []}])
def test_no_status_is_fatal(status: dict[str, Any]):
    assert parse_job({**SMALLEST["SFTJob"], "status": status}).status == JobStatus()


def test_a_written_status_reads_back():
    status = parse_status({"phase": "Failed", "attempts": [attempt(1, exitCode=2)], "completionTime": "2026-01-01T00:00:00Z"})
    assert parse_status(status.to_dict()) == status
