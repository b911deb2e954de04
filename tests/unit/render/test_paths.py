import pytest

from kubetune.render.paths import output_dir, path_in_pod, uri_below
from kubetune.render.plan import RenderSettings


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("pvc://runs", "/kubetune/volumes/runs"),
        ("pvc://runs/", "/kubetune/volumes/runs"),
        ("pvc://runs/a/b.jsonl", "/kubetune/volumes/runs/a/b.jsonl"),
        ("configMap://facts/train.jsonl", "/kubetune/configmaps/facts/train.jsonl"),
        ("/data/x/", "/data/x"),
        ("hf://org/name@main", "hf://org/name@main"),
        ("hf://org/name@main/a/b.jsonl", "hf://org/name@main/a/b.jsonl"),
    ],
)
def test_path_in_pod(settings, uri, path):
    assert path_in_pod(uri, settings) == path


def test_roots_may_end_in_a_slash():
    settings = RenderSettings(image="i", volume_root="/v/", configmap_root="/c/")
    assert path_in_pod("pvc://a/b", settings) == "/v/a/b"
    assert path_in_pod("configMap://a/b", settings) == "/c/a/b"


def test_what_lies_in_a_store_is_left_to_the_trainer(settings):
    assert path_in_pod("s3://bucket/key", settings) == "s3://bucket/key"


def test_an_output_in_a_store_is_written_to_the_pods_own_disk_first(settings):
    assert output_dir("s3://runs/team", "job-1", settings) == "/var/kubetune/output/job-1"
    assert output_dir("pvc://runs/team", "job-1", settings) == "/kubetune/volumes/runs/team/job-1"


@pytest.mark.parametrize("uri", ["pvc://runs", "pvc://runs/", "pvc://runs/a", "/data", "/data/"])
def test_below_in_the_uri_is_below_in_the_pod(settings, uri):
    below = uri_below(uri, "job", "attempt-1")
    assert path_in_pod(below, settings) == path_in_pod(uri, settings) + "/job/attempt-1"
    assert not below.removeprefix("pvc://").count("//")
