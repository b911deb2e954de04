from __future__ import annotations

import pytest

from kubetune.api import OSFTJob
from kubetune.api.translate import did_you_mean, known_fields, path_of


def test_paths_as_kubernetes_writes_them():
    assert path_of(("spec", "template", "volumes", 0, "name")) == "spec.template.volumes[0].name"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("learningRat", "learningRate"),
        ("learning_rate", "learningRate"),
        ("LEARNING-RATE", "learningRate"),
        ("max_seq_length", "maxSeqLen"),
        ("unfreezeRatio", "unfreezeRankRatio"),
        ("epochs", "numEpochs"),
        ("nepochs", "numEpochs"),
    ],
)
def test_the_nearest_training_parameter(name: str, nearest: str):
    assert did_you_mean(name, known_fields(OSFTJob, ("spec", "training"))) == f"did you mean {nearest}?"


def test_nothing_near_lists_what_is_known():
    assert did_you_mean("xyz", ["uri", "format"]) == "known here: format, uri"


def test_known_fields_of_an_item_in_a_list():
    assert "mountPath" in known_fields(OSFTJob, ("spec", "template", "volumeMounts", 3))
    assert known_fields(OSFTJob, ("spec", "nodes")) == []
