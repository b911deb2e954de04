"""What counts in a store: against a real S3 server that is killed at the worst moments."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backend_runs import free_port
from s3_server import S3Server, environment

from kubetune_trainer.checkpoints.manifest import Manifest, check_manifest, write_manifest
from kubetune_trainer.checkpoints.resume import Fit
from kubetune_trainer.contract import MANIFEST_NAME, FailureClass
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.location import Location, parse
from kubetune_trainer.storage.output import AWAITING, OutputStore, part_name
from kubetune_trainer.storage.settings import StoreSettings

pytestmark = pytest.mark.store

JOB = "s3://box/team/ns-job-12345678"
FIT = Fit("sft", 2)


@pytest.fixture
def store_of(server: S3Server, tmp_path: Path, settings: StoreSettings) -> Any:
    del server

    def make(attempt: int = 1, node: int = 0, nodes: int = 1, patience: float | None = None) -> OutputStore:
        chosen = settings if patience is None else StoreSettings(settings.cache, patience, settings.part_bytes)
        local = tmp_path / f"node-{node}" / f"attempt-{attempt}"
        return OutputStore(parse("ckpt_output_dir", f"{JOB}/attempt-{attempt}"), local, chosen, node, nodes)

    return make


def save(store: OutputStore, step: int, files: dict[str, bytes], kind: Any = "full-state") -> tuple[Path, Manifest]:
    """A checkpoint on this node's disk."""
    directory = store.local / "full_state" / f"step_{step}"
    for name, content in {"kubetune-state.json": json.dumps({"step": step}).encode(), **files}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    manifest = Manifest(kind=kind, step=step, world_size=2, attempt=1, algorithm="sft", backend="x", time=datetime.now(UTC))
    return directory, write_manifest(directory, manifest)


def uri(store: OutputStore, step: int) -> str:
    return f"{store.root.uri}/full_state/step_{step}"


def objects(server: S3Server) -> set[str]:
    root = server.buckets / "box" / "team" / "ns-job-12345678"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_sealed_checkpoint_is_brought_back_whole_on_another_disk(store_of: Any, server: S3Server, settings: StoreSettings):
    first = store_of()
    first.prepare()
    directory, manifest = save(first, 5, {"sub/optimizer.bin": bytes(range(256)), "large.bin": b"x" * (settings.part_bytes + 1)})
    first.seal(directory, manifest)
    assert f"attempt-1/full_state/step_5/{MANIFEST_NAME}" in objects(server)

    shutil.rmtree(first.local)
    second = store_of(attempt=2)
    second.prepare()
    choice = second.choose([uri(first, 5)], FIT)
    assert choice.step == 5
    assert choice.path == second.local.parent / "attempt-1" / "full_state" / "step_5"  # so that its URI can be told from it
    assert check_manifest(choice.path) == []
    assert (choice.path / "sub" / "optimizer.bin").read_bytes() == bytes(range(256))


def test_an_upload_that_was_torn_is_never_resumed_from(store_of: Any, server: S3Server):
    store = store_of(patience=0)
    directory, manifest = save(store, 5, {"a.bin": b"a"})
    store.seal(directory, manifest)
    directory, manifest = save(store, 10, {"a.bin": b"a", "b.bin": b"b"})
    put = store._put
    store._put = lambda *args: (server.kill(), put(*args))
    with pytest.raises(StoreError) as caught:
        store.seal(directory, manifest, last=True)
    assert caught.value.passing
    server.start()
    assert {"attempt-1/full_state/step_10/a.bin", "attempt-1/full_state/step_10/b.bin"} <= objects(server)

    choice = store_of(attempt=2).choose([uri(store, 10), uri(store, 5)], FIT)
    assert choice.step == 5
    assert list(map(str, choice.rejected)) == [f"{uri(store, 10)}: has no {MANIFEST_NAME}: its upload was not finished"]

    store._put = put
    store.seal(directory, manifest, last=True)  # tried again, and only what lacks is sent
    assert store_of(attempt=2).choose([uri(store, 10), uri(store, 5)], FIT).step == 10


@pytest.mark.parametrize("harm", ["removed", "shortened", "replaced"])
def test_a_state_that_lost_a_file_is_passed_over(store_of: Any, server: S3Server, client: Client, harm: str):
    store = store_of()
    for step in (5, 10):
        store.seal(*save(store, step, {"a.bin": b"whole"}))
    target = Location("box", "team/ns-job-12345678/attempt-1/full_state/step_10/a.bin")
    if harm == "removed":
        client.delete("box", [target.key])
    else:
        client.put(target, b"who" if harm == "shortened" else b"WHOLE", "0" * 64)
        shutil.rmtree(store.local)  # else the copy on this disk is right, and would do
    choice = store_of(attempt=2).choose([uri(store, 10), uri(store, 5)], FIT)
    assert choice.step == 5
    assert "a.bin" in choice.rejected[0].problem
    assert (choice.rejected[0].path, choice.rejected[0].damaged) == (uri(store, 10), True)
    assert server.process is not None


def test_a_damaged_copy_on_this_disk_is_fetched_anew(store_of: Any):
    store = store_of()
    directory, manifest = save(store, 5, {"a.bin": b"whole"})
    store.seal(directory, manifest)
    (directory / "a.bin").write_bytes(b"WHOLE")
    choice = store_of(attempt=2).choose([uri(store, 5)], FIT)
    assert choice.path == directory
    assert (directory / "a.bin").read_bytes() == b"whole"


def test_a_state_that_does_not_fit_is_not_downloaded(store_of: Any):
    store = store_of()
    store.seal(*save(store, 5, {"a.bin": b"a"}))
    shutil.rmtree(store.local)
    choice = store_of(attempt=2).choose([uri(store, 5), "s3://box/elsewhere/step_1"], Fit("sft", 8))
    assert choice.path is None
    assert "written by 2 ranks, this run has 8" in choice.rejected[0].problem
    assert choice.resized is choice.rejected[0]
    assert "does not lie below" in choice.rejected[1].problem
    assert not store.local.exists()


def test_a_store_that_is_away_is_no_reason_to_start_anew(store_of: Any, server: S3Server):
    server.kill()
    with pytest.raises(TrainingError, match="could not be reached") as caught:
        store_of(patience=0).choose([f"{JOB}/attempt-1/full_state/step_5"], FIT)
    assert caught.value.failure_class.retryable


def test_the_manifest_goes_first_where_a_state_is_removed(store_of: Any, server: S3Server):
    store = store_of(patience=0)
    directory, manifest = save(store, 5, {"a.bin": b"a"})
    store.seal(directory, manifest)
    deleted: list[list[str]] = []
    delete = store._background.delete

    def once(bucket: str, keys: list[str]) -> None:
        delete(bucket, keys)
        deleted.append(keys)
        server.kill()

    store._background.delete = once
    with pytest.raises(StoreError):
        store.remove(directory)
    server.start()
    assert deleted == [[f"team/ns-job-12345678/attempt-1/full_state/step_5/{MANIFEST_NAME}"]]
    assert "attempt-1/full_state/step_5/a.bin" in objects(server)
    assert store_of(attempt=2).choose([uri(store, 5)], FIT).path is None  # half removed: it counts no more
    store._background.delete = delete
    store.remove(directory)
    assert objects(server) == set()


def test_two_nodes_seal_one_state(store_of: Any, server: S3Server, tmp_path: Path):
    first, second = store_of(node=0, nodes=2), store_of(node=1, nodes=2)
    mine, own = save(first, 5, {"rank_0.pt": b"zero"}), save(second, 5, {"rank_1.pt": b"one"})
    with pytest.raises(StoreError, match="node 1 has not uploaded") as caught:
        first.seal(*mine)
    assert caught.value.code == AWAITING
    assert MANIFEST_NAME not in {Path(name).name for name in objects(server)}

    first.hurry(all_saved=True)
    later = threading.Timer(0.3, lambda: second.share(*own))
    later.start()
    sealed = first.seal(*mine, last=True)
    later.join()
    assert [file.path for file in sealed.files] == ["kubetune-state.json", "rank_0.pt", "rank_1.pt"]
    assert f"attempt-1/full_state/step_5/{part_name(1)}" in objects(server)

    for node in (0, 1):
        shutil.rmtree(tmp_path / f"node-{node}")
        path = store_of(attempt=2, node=node, nodes=2).choose([uri(first, 5)], FIT).path
        assert path == tmp_path / f"node-{node}" / "attempt-1" / "full_state" / "step_5"
        assert (path / "rank_0.pt").read_bytes() + (path / "rank_1.pt").read_bytes() == b"zeroone"


def test_a_lost_node_is_not_waited_for_with_all_patience(store_of: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kubetune_trainer.storage.output.WAIT_FOR_A_LOST_NODE", 0.1)
    store = store_of(nodes=2)
    store.hurry(all_saved=False)
    with pytest.raises(StoreError, match="node 1 has not uploaded"):
        store.seal(*save(store, 5, {"rank_0.pt": b"zero"}), last=True)


def test_two_nodes_that_wrote_one_file_differently_are_found_out(store_of: Any):
    first, second = store_of(node=0, nodes=2), store_of(node=1, nodes=2)
    second.share(*save(second, 5, {"same.json": b"one"}))
    with pytest.raises(StoreError, match=r"two nodes wrote same\.json"):
        first.seal(*save(first, 5, {"same.json": b"two"}))


def test_weights_are_the_first_nodes_alone(store_of: Any):
    store = store_of(nodes=2)
    assert store.seal(*save(store, 5, {"model.safetensors": b"w"}, kind="hf")).total_bytes > 0


def test_an_attempt_learns_that_it_was_followed(store_of: Any):
    first = store_of()
    first.prepare()
    assert not first.followed()
    store_of(attempt=10).prepare()
    assert first.followed()
    assert not store_of(attempt=10).followed()
    assert not store_of(attempt=11).followed()


def test_another_run_of_this_attempt_is_found(store_of: Any):
    store = store_of()
    store.prepare()
    store.prepare()  # a probe leaves nothing
    store.seal(*save(store, 5, {"a.bin": b"a"}))
    with pytest.raises(TrainingError, match="another run of this attempt wrote there"):
        store_of().prepare()
    store_of(node=1, nodes=2).prepare()  # the first node looks


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({}, "s3://nowhere/runs", "a bucket that the store does not have"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://box/runs", "the secret key is not that of the access key"),
    ],
)
def test_an_output_that_cannot_be_written_is_found_before_training(
    server: S3Server, settings: StoreSettings, change: dict[str, str], place: str, says: str
):
    del server
    with environment(**change), pytest.raises(ConfigurationError, match=says) as caught:
        OutputStore(parse("ckpt_output_dir", place), Path("/nowhere"), settings).prepare()
    assert (caught.value.field, caught.value.value) == ("ckpt_output_dir", place)


def test_an_output_that_cannot_be_reached_may_be_tried_again(server: S3Server, tmp_path: Path):
    del server
    settings = StoreSettings(tmp_path, 0)
    with environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}"), pytest.raises(TrainingError) as caught:
        OutputStore(Location("box", "runs/a"), tmp_path, settings).prepare()
    assert caught.value.failure_class is FailureClass.BACKEND_ERROR
