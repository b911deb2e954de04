from __future__ import annotations

from typing import Any

import pytest
from cases import SMALLEST, edited

from kubetune.api import parse_job
from kubetune.api.identity import changed_fields, identity, output_subdir, procs_per_node, pytorchjob_name, spec_hash


def job(edit: dict[str, Any] | None = None, kind: str = "SFTJob"):
    return parse_job(edited(SMALLEST[kind], edit or {}))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({}, 1),
        ({"spec.procsPerNode": 4}, 4),
        ({"spec.resources": {"limits": {"nvidia.com/gpu": 8}}}, 8),
        ({"spec.resources": {"limits": {"nvidia.com/gpu": "8", "cpu": "64"}}}, 8),
        ({"spec.resources": {"limits": {"nvidia.com/gpu": 8}}, "spec.procsPerNode": 2}, 2),
        ({"spec.resources": {"limits": {"cpu": 64}}}, 1),
    ],
)
def test_processes_a_node(edit: dict[str, Any], expected: int):
    assert procs_per_node(job(edit)) == expected


def test_the_hash_is_64_hexadecimal_digits_and_known():
    """It stands in every job's status: a change of it would read as a changed spec of every job that runs."""
    assert spec_hash(job(kind="OSFTJob")) == "75cc8d5084f8c5582f8873a72436482b1bef52d4649e45e76592b6bf5a7495a3"


def test_name_and_namespace_do_not_count():
    assert spec_hash(job({"metadata.name": "other", "metadata.namespace": "team"})) == spec_hash(job())


def test_the_kind_counts():
    both = {"spec.training": SMALLEST["OSFTJob"]["spec"]["training"], "spec.model.uri": "hf://org/name"}
    sft_training = {key: value for key, value in both["spec.training"].items() if key != "unfreezeRankRatio"}
    assert spec_hash(job({**both, "spec.training": sft_training})) != spec_hash(job(both, "OSFTJob"))


def test_an_api_servers_numbers_give_the_same_hash():
    assert spec_hash(job({"spec.training": {"learningRate": 1.0}})) == spec_hash(job({"spec.training": {"learningRate": 1}}))
    power = [job({"spec.training.lrSchedulerKwargs": {"power": value}}, "OSFTJob") for value in (1, 1.0)]
    assert spec_hash(power[0]) == spec_hash(power[1])


def test_changed_fields_are_named_by_their_paths():
    old = identity(job({"spec.training": {"learningRate": 1e-5, "seed": 1}}))
    new = identity(job({"spec.training": {"learningRate": 2e-5}, "spec.dataset.format": "processed", "spec.nodes": 2}))
    assert changed_fields(old, new) == ("spec.dataset.format", "spec.nodes", "spec.training.learningRate", "spec.training.seed")
    assert changed_fields(old, old) == ()


def test_a_changed_kind_is_not_a_field_of_the_spec():
    assert "kind" in changed_fields(identity(job()), identity(job(kind="OSFTJob")))


def test_each_job_has_a_directory_of_its_own():
    uid = "0b5f4b0e-1111-2222-3333-444455556666"
    assert output_subdir(job({"metadata.uid": uid, "metadata.namespace": "team"})) == "team-teach-0b5f4b0e"


def test_a_job_that_was_never_stored_has_none():
    with pytest.raises(ValueError, match=r"no metadata\.uid"):
        output_subdir(job())


def test_jobs_of_two_kinds_do_not_clash():
    assert pytorchjob_name(job(), 2) == "teach-sft-2"
    assert pytorchjob_name(job(kind="OSFTJob"), 2) == "teach-osft-2"


def test_names_of_children_fit_a_host_name():
    longest = pytorchjob_name(job({"metadata.name": "a" * 40}, "OSFTJob"), 9999) + "-worker-998"
    assert len(longest) <= 63
