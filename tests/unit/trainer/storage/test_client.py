"""What the store refuses, by who must mend it: a real server's answers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from backend_runs import free_port
from s3_server import ACCESS, S3Server, environment

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.sources import resolve_dataset, resolve_model
from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.location import Location

pytestmark = pytest.mark.store


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path):
    with environment(KUBETUNE_STORE_CACHE=str(tmp_path / "cache"), KUBETUNE_STORE_PATIENCE_SECONDS="0"):
        yield


@pytest.mark.parametrize(
    ("change", "uri", "says"),
    [
        ({}, "s3://nowhere/model", "a bucket that the store does not have"),
        ({}, "s3://box/nothing", "names nothing that is there"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://box/m", "the secret key is not that of the access key"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "s3://box/m", "does not know this access key"),
        ({"AWS_ENDPOINT_URL": "minio:9000"}, "s3://box/m", "AWS_ENDPOINT_URL is no URL"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
            "s3://box/m",
            "there are none",
        ),
    ],
)
def test_what_only_the_user_can_mend(server: S3Server, change: dict[str, str], uri: str, says: str):
    del server
    with environment(**change):
        for field, resolve in (("model_path", resolve_model), ("data_path", resolve_dataset)):
            with pytest.raises(ConfigurationError, match=says) as caught:
                resolve(uri)
            assert (caught.value.field, caught.value.value) == (field, uri)
            assert caught.value.failure_class is FailureClass.USER_ERROR
            assert ACCESS not in str(caught.value)


def test_a_data_set_is_one_object(server: S3Server):
    del server
    with pytest.raises(ConfigurationError, match="names a bucket alone"):
        resolve_dataset("s3://box")


def test_a_store_that_cannot_be_reached_may_be_tried_again(server: S3Server):
    del server
    endpoint = f"http://127.0.0.1:{free_port()}"
    with environment(AWS_ENDPOINT_URL=endpoint), pytest.raises(TrainingError, match=endpoint) as caught:
        resolve_model("s3://box/model")
    assert caught.value.failure_class is FailureClass.BACKEND_ERROR
    assert "model_path: 's3://box/model' could not be reached" in str(caught.value)


def test_a_store_that_comes_back_in_time_was_never_away(server: S3Server):
    server.kill()
    back = threading.Timer(0.5, server.start)
    back.start()
    try:
        assert list(Client(patience=120).below(Location("box"))) == []
    finally:
        back.join()


def test_a_client_that_is_stopped_waits_no_longer(server: S3Server):
    server.kill()
    client = Client(patience=3600)
    client.stop.set()
    with pytest.raises(StoreError):
        list(client.below(Location("box")))


def test_long_lists_come_in_pages(client: Client):
    keys = [f"x/{n:04d}/y" for n in range(1003)]
    for key in keys[:3]:
        client.put(Location("box", key), b"", "0" * 64)
    folder = Location("box", "x")
    page = client.call("list_objects_v2", Bucket="box", Prefix="x/", MaxKeys=2)
    assert page["IsTruncated"]
    assert [each.key for each in client.below(folder)] == keys[:3]
    assert client.folders(folder) == ["0000", "0001", "0002"]
    client.delete("box", keys)  # more than one request takes; what is not there is no error
    assert list(client.below(folder)) == []
