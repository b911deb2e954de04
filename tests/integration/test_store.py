"""Model, data set and output in a real S3 store: two nodes without a common disk, whose machine is lost; and SFT by the library."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_runs import weights
from runs import Workspace, pod_processes, wait_for
from s3_server import S3Server, environment, s3_server
from tiny import write_messages

from kubetune_trainer import sft
from kubetune_trainer.checkpoints import check_manifest
from kubetune_trainer.contract import MANIFEST_NAME

pytestmark = [pytest.mark.train, pytest.mark.store]

ROWS, BATCH, EPOCHS = 160, 4, 3
STEPS = ROWS // BATCH
MATRICES = 14  # that OSFT decomposes: seven in each of two layers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """Downloads go below this HOME."""
    home = tmp_path / "home"
    home.mkdir()
    with s3_server(tmp_path / "buckets") as running, environment(HOME=str(home)):
        yield running


def stored_states(workspace: Workspace) -> list[dict[str, object]]:
    checkpoints = workspace.stored("OSFTJob").get("status", {}).get("checkpoints", [])
    return [c for c in checkpoints if c["kind"] == "full-state" and c["verified"]]


def test_two_nodes_that_share_nothing_but_the_store_go_on_after_everything_else_is_lost(
    workspace: Workspace, server: S3Server, tmp_path: Path
) -> None:
    shutil.copytree(workspace.model, server.bucket("models") / "tiny")
    write_messages(server.bucket("data") / "train.jsonl", rows=ROWS)
    runs, factors = server.bucket("runs"), server.bucket("svd") / "factors"
    job = workspace.job(
        "OSFTJob",
        model={"uri": "s3://models/tiny"},
        dataset={"uri": "s3://data/train.jsonl"},
        output={"uri": "s3://runs/team"},
        nodes=2,
        training={"numEpochs": EPOCHS, "effectiveBatchSize": BATCH},
        template={"env": [{"name": "KUBETUNE_SVD_CACHE", "value": "s3://svd/factors"}]},
    )
    process = workspace.start_run(job)
    (state,) = wait_for(lambda: stored_states(workspace), process)
    assert state["step"] in (STEPS, 2 * STEPS)  # the second where the first was overtaken before it was uploaded
    pods = [json.loads(file.read_text()) for file in (workspace.state / "resources" / "pod" / "default").glob("*.json")]
    assert len(pods) == 2
    process.kill()  # its pods end with it
    process.communicate()
    wait_for(lambda: not any(pod_processes(pod["metadata"]["uid"]) for pod in pods))
    shutil.rmtree(workspace.state / "outputs")
    shutil.rmtree(tmp_path / "home" / ".cache")
    decomposed = {path: path.stat().st_mtime_ns for path in factors.rglob("*.safetensors")}
    assert len(decomposed) == MATRICES

    again = workspace.run(job, "-o", "json")
    assert again.code == 0, again.stderr[-4000:]
    status = again.resource["status"]
    resumed = status["attempts"][1]["resumedFrom"]
    assert resumed.startswith("s3://runs/team/default-tiny-")
    assert resumed.endswith(tuple(f"/attempt-1/full_state_checkpoints/step_{n * STEPS}" for n in (1, 2)))
    assert status["progress"]["step"] == EPOCHS * STEPS
    final = status["finalCheckpoint"]
    assert final["uri"].startswith("s3://runs/team/default-tiny-")
    assert "/attempt-2/hf_format/" in final["uri"]
    sealed = json.loads((runs / final["uri"].removeprefix("s3://runs/") / MANIFEST_NAME).read_text())
    assert sum(file["bytes"] for file in sealed["files"]) == final["bytes"]

    assert {path: path.stat().st_mtime_ns for path in factors.rglob("*.safetensors")} == decomposed  # found, and not computed again

    (kept,) = runs.glob(f"team/*/attempt-*/full_state_checkpoints/step_*/{MANIFEST_NAME}")  # the newest, whoever saved it
    names = {file["path"] for file in json.loads(kept.read_text())["files"]}
    assert {"optimizer_rank_0.pt", "optimizer_rank_1.pt"} <= names  # each node sent its own
    (disk,) = (workspace.state / "outputs").iterdir()
    assert sorted(node.name for node in disk.iterdir()) == ["node-0", "node-1"]


def test_sft_from_a_store_and_into_it_is_what_it_is_on_a_disk(
    tiny_model: Path, tiny_data: Path, server: S3Server, tmp_path: Path
) -> None:
    import torch

    shutil.copytree(tiny_model, server.bucket("models") / "tiny")
    shutil.copy(tiny_data, server.bucket("data") / "train.jsonl")
    runs = server.bucket("runs")
    call = {"num_epochs": 2, "effective_batch_size": 16, "learning_rate": 1e-3, "device": "cpu"}
    stored = sft("s3://models/tiny", "s3://data/train.jsonl", "s3://runs/team", **call)  # type: ignore[arg-type]  # as written
    local = sft(str(tiny_model), str(tiny_data), str(tmp_path / "out"), **call)  # type: ignore[arg-type]

    assert (stored.reached_end, stored.step, stored.losses) == (True, 6, local.losses)
    assert stored.checkpoint is not None
    assert stored.checkpoint.uri.startswith("s3://runs/team/run-")
    final = runs / stored.checkpoint.uri.removeprefix("s3://runs/")
    assert check_manifest(final) == []
    one, other = weights(final), weights(Path(local.checkpoint.uri))  # type: ignore[union-attr]  # it reached its end
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert {(c.kind, c.step) for c in stored.checkpoints if c.verified} == {("hf", 3), ("hf", 6), ("full-state", 3)}
