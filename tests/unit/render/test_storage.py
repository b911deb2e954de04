import dataclasses
import re

from kubetune.render import AttemptPlan
from kubetune.render.storage import volume_name


def test_claims_are_mounted_once_and_only_the_outputs_is_writable(render):
    rendered = render(model={"uri": "pvc://models/a"}, dataset={"uri": "pvc://runs/in.jsonl"}, output={"uri": "pvc://runs/out"})
    assert rendered.mounted("/kubetune/volumes/models")["persistentVolumeClaim"] == {"claimName": "models"}
    assert rendered.mounts["/kubetune/volumes/models"]["readOnly"] is True
    assert rendered.mounted("/kubetune/volumes/runs")["persistentVolumeClaim"] == {"claimName": "runs"}
    assert "readOnly" not in rendered.mounts["/kubetune/volumes/runs"]
    assert len([each for each in rendered.volumes.values() if "persistentVolumeClaim" in each]) == 2


def test_configmap(render):
    rendered = render(dataset={"uri": "configMap://facts/train.jsonl"})
    assert rendered.mounted("/kubetune/configmaps/facts")["configMap"] == {"name": "facts"}
    assert rendered.mounts["/kubetune/configmaps/facts"]["readOnly"] is True
    assert rendered.contract.dataset == "/kubetune/configmaps/facts/train.jsonl"


def test_what_the_plan_names_is_mounted_too(render):
    plan = AttemptPlan(number=2, resume_from=("pvc://old/x/full_state/epoch_0",), model_uri="pvc://models/b")
    rendered = render(plan)
    assert rendered.mounts["/kubetune/volumes/old"]["readOnly"] is True
    assert rendered.mounts["/kubetune/volumes/models"]["readOnly"] is True


def test_an_output_in_a_store_has_a_disk_of_the_pods_own(render):
    rendered = render(model={"uri": "s3://m/a"}, dataset={"uri": "s3://d/a.jsonl"}, output={"uri": "s3://runs/x"})
    assert rendered.mounted("/var/kubetune/output")["emptyDir"] == {}
    assert not [each for each in rendered.volumes.values() if "persistentVolumeClaim" in each]
    contract = rendered.contract
    assert (contract.model, contract.dataset) == ("s3://m/a", "s3://d/a.jsonl")
    assert contract.output.startswith("/var/kubetune/output/")
    assert contract.output_uri == f"s3://runs/x/{contract.output.rpartition('/')[2]}"
    assert "/var/kubetune/output" not in render().mounts


def test_a_larger_disk_of_the_users_takes_its_place(render):
    volume, mount = {"name": "disk", "hostPath": {"path": "/mnt"}}, {"name": "disk", "mountPath": "/var/kubetune/output"}
    rendered = render(output={"uri": "s3://runs/x"}, template={"volumes": [volume], "volumeMounts": [mount]})
    assert rendered.mounted("/var/kubetune/output") == volume
    assert "kubetune-output" not in rendered.volumes


def test_a_replaced_model_is_not_mounted(render):
    rendered = render(AttemptPlan(number=1, model_uri="hf://org/x@main"), model={"uri": "pvc://models/a"})
    assert "/kubetune/volumes/models" not in rendered.mounts


def test_roots_of_the_settings(render, settings):
    own = dataclasses.replace(settings, volume_root="/var/v", configmap_root="/var/c")
    rendered = render(settings=own, dataset={"uri": "configMap://facts/train.jsonl"})
    assert {"/var/v/runs", "/var/c/facts"} <= set(rendered.mounts)
    assert rendered.contract.output.startswith("/var/v/runs/")


def test_shared_memory_has_half_of_the_memory_limit(render):
    assert render().mounted("/dev/shm")["emptyDir"] == {"medium": "Memory"}
    shm = render(resources={"limits": {"memory": "3Gi"}}).mounted("/dev/shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": str(3 * 2**29)}


def test_home_is_the_writable_scratch(render):
    rendered = render()
    assert rendered.mounted(rendered.env["HOME"])["emptyDir"] == {}


def test_users_volumes_come_along(render):
    volume, mount = {"name": "cache", "hostPath": {"path": "/mnt"}}, {"name": "cache", "mountPath": "/cache"}
    rendered = render(template={"volumes": [volume], "volumeMounts": [mount]})
    assert rendered.mounted("/cache") == volume
    assert "/dev/shm" in rendered.mounts


def test_a_users_mount_replaces_ours_at_that_path(render):
    volume, mount = {"name": "fast", "hostPath": {"path": "/mnt"}}, {"name": "fast", "mountPath": "/tmp/"}
    rendered = render(template={"volumes": [volume], "volumeMounts": [mount]})
    assert rendered.mounted("/tmp/") == volume
    assert "/tmp" not in rendered.mounts
    assert "kubetune-scratch" not in rendered.volumes


def test_volume_names_are_dns_labels_and_differ():
    names = ["a", "a.b", "a-b", "x" * 200, "x" * 201]
    labels = [volume_name("pvc", name) for name in names]
    assert len(set(labels)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels)
