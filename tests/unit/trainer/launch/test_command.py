import json
import sys
from pathlib import Path

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.launch.command import Launch, torchrun_command, worker_environment

BACKEND = ["torchrun", "--nproc-per-node=1", "--standalone", "/site/main_ds.py", "--model_name_or_path=/models/a.py", "--seed=1"]


def options(launch: Launch) -> list[str]:
    return torchrun_command(BACKEND, launch)


def test_torchrun_is_this_interpreters_and_the_backends_script_comes_after_our_worker() -> None:
    command = options(Launch(Torchrun(nproc_per_node=4), Path("/logs")))
    assert command[:3] == [sys.executable, "-m", "kubetune_trainer.launch.agent"]
    assert command[-5:] == ["-m", "kubetune_trainer.launch.worker", *BACKEND[3:]]
    assert "--nproc-per-node=4" in command
    assert "--standalone" in command


def test_several_nodes_meet_at_a_static_rendezvous_with_a_bounded_wait() -> None:
    run = Torchrun(nproc_per_node=8, nnodes=2, node_rank=1, rdzv_id="uid-3", endpoint="master:23456", join_timeout_seconds=70)
    command = options(Launch(run, Path("/logs")))
    wanted = {
        "--nnodes=2",
        "--node-rank=1",
        "--rdzv-id=uid-3",
        "--rdzv-backend=static",
        "--master-addr=master",
        "--master-port=23456",
        "--rdzv-conf=timeout=70",
        "--max-restarts=0",
    }
    assert wanted <= set(command)
    assert "--standalone" not in command


def test_what_the_pod_was_given_for_its_rendezvous_does_not_reach_torchrun() -> None:
    pod = {
        "PET_NNODES": "2:4",
        "PET_RDZV_ENDPOINT": "a:1",
        "PET_MASTER_ADDR": "a",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
        "RANK": "3",
        "WORLD_SIZE": "4",
        "NODE_RANK": "1",
        "TORCHELASTIC_RUN_ID": "old",
        "HF_HOME": "/cache",
    }
    clean = worker_environment(pod, Launch(Torchrun(), Path("/logs")), cores=8)
    assert clean["HF_HOME"] == "/cache"
    assert not set(pod) - {"HF_HOME"} & set(clean)


def test_all_cores_but_one_are_shared_out_unless_the_user_said_how_many() -> None:
    launch = Launch(Torchrun(nproc_per_node=4), Path("/logs"))
    assert worker_environment({}, launch, cores=17)["OMP_NUM_THREADS"] == "4"
    assert worker_environment({}, launch, cores=16)["OMP_NUM_THREADS"] == "3"
    assert worker_environment({}, launch, cores=16)["OMP_WAIT_POLICY"] == "PASSIVE"
    assert worker_environment({}, launch, cores=2)["OMP_NUM_THREADS"] == "1"
    assert worker_environment({"OMP_NUM_THREADS": "3"}, launch, cores=16)["OMP_NUM_THREADS"] == "3"


def test_the_device_and_the_plugins_are_told_and_a_cpu_run_sees_no_gpu() -> None:
    launch = Launch(Torchrun(), Path("/logs"), "cpu", {"tied_embeddings": {"a": 1}}, {"TESTING": "true"})
    told = worker_environment({"CUDA_VISIBLE_DEVICES": "0"}, launch, cores=2)
    assert told["KUBETUNE_CPU_PATCH"] == "1"
    assert json.loads(told["KUBETUNE_PLUGINS"]) == {"tied_embeddings": {"a": 1}}
    assert (told["CUDA_VISIBLE_DEVICES"], told["NUMBA_DISABLE_JIT"], told["TESTING"]) == ("", "1", "true")
    gpu = worker_environment({"CUDA_VISIBLE_DEVICES": "0"}, Launch(Torchrun(), Path("/logs")), cores=2)
    assert (gpu["KUBETUNE_CPU_PATCH"], gpu["CUDA_VISIBLE_DEVICES"]) == ("0", "0")
    assert "NUMBA_DISABLE_JIT" not in gpu
    knows = worker_environment({}, Launch(Torchrun(), Path("/logs"), "cpu", knows_cpu=True), cores=2)
    assert (knows["KUBETUNE_CPU_PATCH"], knows["CUDA_VISIBLE_DEVICES"]) == ("0", "")
