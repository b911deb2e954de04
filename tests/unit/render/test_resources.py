import pytest


def test_a_gpu_for_each_process(render):
    assert render(procsPerNode=8).container["resources"] == {"limits": {"nvidia.com/gpu": 8}}


def test_one_gpu_by_default(render):
    assert render().container["resources"] == {"limits": {"nvidia.com/gpu": 1}}


def test_cpu_has_no_gpu(render):
    assert "resources" not in render(device="cpu").container


def test_users_resources_are_kept_and_gpus_added(render):
    resources = {"requests": {"cpu": "8", "memory": "64Gi"}, "limits": {"memory": "64Gi"}}
    rendered = render(resources=resources, procsPerNode=2)
    assert rendered.container["resources"] == {
        "requests": resources["requests"],
        "limits": {"memory": "64Gi", "nvidia.com/gpu": 2},
    }


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-3g.40gb"])
def test_users_gpus_are_not_doubled(render, resource):
    rendered = render(resources={"limits": {resource: 4}}, procsPerNode=4)
    assert rendered.container["resources"] == {"limits": {resource: 4}}
    assert rendered.spec["nprocPerNode"] == "4"


@pytest.mark.parametrize(("cpu", "procs", "threads"), [("8", 2, "4"), ("1500m", 1, "1"), ("500m", 2, "1"), ("7", 2, "3")])
def test_threads_share_the_cpu_limit(render, cpu, procs, threads):
    rendered = render(device="cpu", procsPerNode=procs, resources={"limits": {"cpu": cpu}})
    assert rendered.env["OMP_NUM_THREADS"] == threads


def test_threads_are_left_alone_without_a_cpu_limit_and_on_gpus(render):
    assert "OMP_NUM_THREADS" not in render(device="cpu", resources={"requests": {"cpu": "8"}}).env
    assert "OMP_NUM_THREADS" not in render(resources={"limits": {"cpu": "8"}}).env
