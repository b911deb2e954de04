"""Every bad input ends `kubetune run` with exit code 2, without a retry, and with the field, the value and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from runs import Workspace
from tiny import conversation, make_tiny_model

Job = dict[str, Any]


def rows(workspace: Workspace, *lines: object) -> dict[str, str]:
    """A data set of these lines; text goes in as it is."""
    file = workspace.root / "bad.jsonl"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return {"uri": str(file)}


def message(role: str, content: str = "What colour is the car? It is red, and so is the house.") -> dict[str, str]:
    return {"role": role, "content": content}


def no_template(workspace: Workspace) -> Job:
    return workspace.job(model={"uri": str(make_tiny_model(workspace.root / "mute", chat_template=False))})


def no_config(workspace: Workspace) -> Job:
    folder = workspace.root / "hollow"
    folder.mkdir()
    return workspace.job(model={"uri": str(folder)})


def unwritable_output(workspace: Workspace) -> Job:
    (workspace.root / "file").touch()
    return workspace.job(output={"uri": f"{workspace.root}/file/runs"})


BEFORE_THE_START: dict[str, tuple[Callable[[Workspace], Job], list[str]]] = {
    "unknown field": (
        lambda w: w.job(training={"learninRate": 1e-3}),
        ["spec.training.learninRate", "did you mean learningRate?"],
    ),
    "unfreezeRankRatio 1.5": (
        lambda w: w.job("OSFTJob", training={"unfreezeRankRatio": 1.5}),
        ["spec.training.unfreezeRankRatio", "1.5", "1"],
    ),
    "missing data file": (
        lambda w: w.job(dataset={"uri": f"{w.root}/nowhere.jsonl"}),
        ["spec.dataset.uri", "nowhere.jsonl does not exist", "check the path"],
    ),
}

BY_THE_TRAINER: dict[str, tuple[Callable[[Workspace], Job], list[str]]] = {
    "a line that is no JSON": (
        lambda w: w.job(dataset=rows(w, conversation(0), conversation(1), '{"messages": [')),
        ["dataset", "bad.jsonl", "line 3", "JSON"],
    ),
    "a role that does not exist": (
        lambda w: w.job(dataset=rows(w, conversation(0), {"messages": [message("usr"), message("assistant")]})),
        ["line 2", "role", "usr", "assistant"],
    ),
    "no assistant turn anywhere": (
        lambda w: w.job(dataset=rows(w, *({"messages": [message("user"), message("user")]} for _ in range(3)))),
        ["dataset", "bad.jsonl", "assistant"],
    ),
    "every sample longer than maxSeqLen": (
        lambda w: w.job(training={"maxSeqLen": 32, "maxTokensPerGpu": 64}),
        ["maxSeqLen", "32", "48", "43"],  # how many there are, how long they are
    ),
    "a model directory without config.json": (no_config, ["model", "hollow", "config.json"]),
    "a tokenizer without a chat template": (no_template, ["model", "mute", "chat template"]),
    "an output that cannot be written": (unwritable_output, ["output", "file/runs"]),
    "maxTokensPerGpu smaller than the longest sample": (
        lambda w: w.job("OSFTJob", training={"maxTokensPerGpu": 40}),
        ["maxTokensPerGpu", "40", "43"],
    ),
    "labels and input_ids of two lengths": (
        lambda w: w.job(dataset=rows(w, {"input_ids": list(range(5, 30)), "labels": list(range(5, 29))}) | {"format": "processed"}),
        ["line 1", "labels", "input_ids", "25", "24"],
    ),
}


def refused(workspace: Workspace, job: Job, parts: list[str]) -> None:
    kind = job["kind"]
    ended = workspace.run(job)
    assert ended.code == 2, ended.stderr[-3000:]
    said = ended.stdout + ended.stderr
    assert [part for part in parts if part not in said] == [], said
    assert "Traceback" not in said
    assert len(workspace.stored(kind).get("status", {}).get("attempts", [])) <= 1


@pytest.mark.parametrize("case", BEFORE_THE_START)
def test_refused_before_anything_is_started(workspace: Workspace, case: str) -> None:
    make, parts = BEFORE_THE_START[case]
    job = make(workspace)
    refused(workspace, job, parts)
    assert workspace.stored(job["kind"]) == {}


@pytest.mark.train
@pytest.mark.parametrize("case", BY_THE_TRAINER)
def test_refused_by_the_trainer_without_a_retry(workspace: Workspace, case: str) -> None:
    make, parts = BY_THE_TRAINER[case]
    job = make(workspace)
    refused(workspace, job, parts)
    status = workspace.stored(job["kind"])["status"]
    assert status["phase"] == "Failed"
    assert status["failure"]["class"] in ("UserError", "DataError")
    assert [attempt["exitCode"] for attempt in status["attempts"]] == [2]
    assert status.get("restarts", 0) == 0
