"""The container's process, from outside: environment in; exit code, termination log and standard error out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from signal_handlers import kept_handlers
from tiny import conversation

from kubetune_trainer import entrypoint
from kubetune_trainer.checkpoints import check_manifest
from kubetune_trainer.contract import (
    CONTRACT_ENV,
    REPORT_FILE_ENV,
    TERMINATION_LOG_ENV,
    FailureClass,
    Outcome,
    Report,
)
from kubetune_trainer.entrypoint import in_resource_terms, last_line, main, write_outcome
from kubetune_trainer.errors import ConfigurationError, DataError
from kubetune_trainer.parameters import SFTParameters
from kubetune_trainer.preemption import Terminated
from kubetune_trainer.report import INTERVAL_ENV
from kubetune_trainer.run import RunPlan, RunResult

DEADLINE = 300.0  # seconds; a wait ends long before
BACKENDS = {"sft": "instructlab-training", "osft": "mini-trainer", "lora_sft": "trl-peft"}
TRAINING: dict[str, dict[str, Any]] = {
    "sft": {"num_epochs": 2, "effective_batch_size": 8, "learning_rate": 1e-3, "max_seq_len": 128},
    "osft": {
        "num_epochs": 2,
        "effective_batch_size": 8,
        "learning_rate": 1e-3,
        "max_seq_len": 128,
        "max_tokens_per_gpu": 512,
        "unfreeze_rank_ratio": 0.3,
    },
    "lora_sft": {"num_epochs": 2, "effective_batch_size": 8, "learning_rate": 1e-2, "max_seq_len": 128},
}


@pytest.fixture
def contract_of(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> Any:
    def make(algorithm: str = "sft", **more: Any) -> dict[str, Any]:
        return {
            "job": {"kind": f"{algorithm.upper()}Job", "namespace": "n", "name": "j", "uid": "u-1", "specHash": "a" * 64},
            "attempt": 1,
            "algorithm": algorithm,
            "backend": BACKENDS.get(algorithm, algorithm),
            "model": str(tiny_model),
            "dataset": str(tiny_data),
            "output": str(tmp_path / "job"),
            "outputUri": "pvc://runs/job",
            "device": "cpu",
            "training": TRAINING.get(algorithm, {}),
            **more,
        }

    return make


@pytest.fixture
def environment_of(tmp_path: Path) -> Any:
    def make(contract: dict[str, Any] | str) -> dict[str, str]:
        text = contract if isinstance(contract, str) else json.dumps(contract)
        return {
            CONTRACT_ENV: text,
            TERMINATION_LOG_ENV: str(tmp_path / "termination"),
            REPORT_FILE_ENV: str(tmp_path / "report.json"),
            INTERVAL_ENV: "0",
        }

    return make


def outcome_of(tmp_path: Path) -> Outcome:
    return Outcome.model_validate_json((tmp_path / "termination").read_text())


@pytest.fixture(autouse=True)
def this_process_is_not_the_containers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """main() takes over the process: its signals, and its children, which here may be other tests' own."""
    monkeypatch.setattr(entrypoint, "adopt_orphans", lambda: None)
    monkeypatch.setattr(entrypoint, "end_descendants", lambda: None)
    with kept_handlers():
        yield


# a contract's change, the exit code, the class, and what the message must name
REFUSED: list[tuple[str, Any, FailureClass, tuple[str, ...]]] = [
    ("no contract", "", FailureClass.USER_ERROR, (CONTRACT_ENV, "is not set")),
    ("no JSON", "{", FailureClass.USER_ERROR, (CONTRACT_ENV,)),
    ("a field missing", {"model": None}, FailureClass.USER_ERROR, (f"{CONTRACT_ENV}.model",)),
    ("an unknown algorithm", {"algorithm": "dpo"}, FailureClass.USER_ERROR, ("dpo",)),
    ("an unknown backend", {"backend": "mine"}, FailureClass.USER_ERROR, ("mine", "instructlab-training")),
    ("a parameter out of range", {"training": {"learning_rate": 5}}, FailureClass.USER_ERROR, ("learningRate", "5")),
    ("an unknown parameter", {"training": {"num_epoch": 5}}, FailureClass.USER_ERROR, ("num_epoch", "numEpochs")),
    ("no model", {"model": "/none"}, FailureClass.USER_ERROR, ("model.uri", "/none", "does not exist")),
    ("no data", {"dataset": "/none.jsonl"}, FailureClass.DATA_ERROR, ("dataset.uri", "/none.jsonl", "does not exist")),
    ("no output", {"output": "/proc/none"}, FailureClass.USER_ERROR, ("output.uri", "/proc/none", "cannot be written")),
    (
        "another algorithm's own parameter",
        {"algorithm": "lora_sft", "backend": "trl-peft", "training": {"load_in_4bit": True}},
        FailureClass.USER_ERROR,
        ("loadIn4Bit", "bitsandbytes", "leave loadIn4Bit out"),
    ),
    (
        "a layer that the model does not have",
        {"algorithm": "lora_sft", "backend": "trl-peft", "training": {"target_modules": ["c_attn"]}},
        FailureClass.USER_ERROR,
        ("targetModules", "c_attn", "there are down_proj"),
    ),
    ("liger", {"training": {"use_liger": True}}, FailureClass.USER_ERROR, ("useLiger", "needs a GPU")),
    (
        "all too long",
        {"training": {"max_seq_len": 25}},
        FailureClass.DATA_ERROR,
        ("maxSeqLen", "25", "no sample of 48 rows", "raise maxSeqLen"),
    ),
    ("no master", {"nodes": 2}, FailureClass.USER_ERROR, ("PET_NODE_RANK", "MASTER_ADDR", "RANK")),
]


@pytest.mark.parametrize(("change", "failure", "names"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_the_user_must_change(
    change: Any, failure: FailureClass, names: tuple[str, ...], contract_of: Any, environment_of: Any, tmp_path: Path, capfd: Any
):
    contract = change if isinstance(change, str) else contract_of(**change)

    assert main(environment_of(contract)) == 2

    outcome = outcome_of(tmp_path)
    assert (outcome.reached_end, outcome.failure, outcome.exit_code, outcome.step) == (False, failure, 2, 0)
    if change == {"nodes": 2}:
        assert any(name in outcome.message for name in names)
    else:
        assert all(name in outcome.message for name in names), outcome.message
    told = capfd.readouterr()
    assert told.err.strip().splitlines()[-1] == last_line(outcome)
    assert told.out == ""


def raising(error: BaseException) -> Any:
    def run(plan: RunPlan) -> RunResult:
        raise error

    return run


def test_the_plan_is_the_contracts(contract_of: Any, environment_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    plans: list[RunPlan] = []
    done = Outcome(reached_end=True, attempt=2, step=1, total_steps=1)

    def run(plan: RunPlan) -> RunResult:
        plans.append(plan)
        return RunResult(True, 1, 1, None, (), (1.0,), {}, None, plan.output_dir, outcome=done)

    monkeypatch.setattr(entrypoint, "run_training", run)
    contract = contract_of("osft", attempt=2, nodes=2, procsPerNode=3, resumeFrom=["/a"], datasetFormat="processed")
    environment = environment_of(contract) | {"MASTER_ADDR": "m", "MASTER_PORT": "29500", "PET_NODE_RANK": "1"}

    assert main(environment) == 0

    plan = plans[0]
    assert (plan.algorithm, plan.backend.name, plan.dataset_format, plan.device) == ("osft", "mini-trainer", "processed", "cpu")
    assert (plan.output_dir, plan.output_uri) == (tmp_path / "job" / "attempt-2", "pvc://runs/job/attempt-2")
    assert (plan.torchrun.nnodes, plan.torchrun.node_rank, plan.torchrun.nproc_per_node) == (2, 1, 3)
    assert (plan.torchrun.rdzv_id, plan.torchrun.endpoint) == ("u-1-2", "m:29500")
    assert (plan.resume_from, plan.attempt, plan.report_interval) == (("/a",), 2, 0.0)
    assert plan.job is not None
    assert plan.job.spec_hash == "a" * 64
    assert plan.parameters.given() == TRAINING["osft"]
    assert outcome_of(tmp_path) == done


@pytest.mark.parametrize(
    ("error", "code", "failure", "says"),
    [
        (Terminated(), 143, FailureClass.PREEMPTED, "before the first step"),
        (MemoryError(), 1, FailureClass.HOST_OOM, "MemoryError"),
        (OSError(28, "No space left on device"), 1, FailureClass.DISK_FULL, "No space left"),
        (ZeroDivisionError("a bug"), 1, FailureClass.BACKEND_ERROR, "a bug"),
    ],
)
def test_whatever_happens_there_is_an_outcome(
    error: BaseException,
    code: int,
    failure: FailureClass,
    says: str,
    contract_of: Any,
    environment_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setattr(entrypoint, "run_training", raising(error))

    assert main(environment_of(contract_of())) == code

    outcome = outcome_of(tmp_path)
    assert (outcome.failure, outcome.exit_code) == (failure, code)
    assert says in outcome.message
    if code == 1:
        assert outcome.log_tail
        assert type(error).__name__ in outcome.log_tail


def test_a_termination_log_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    outcome = Outcome(reached_end=True, attempt=1)
    write_outcome(outcome, {TERMINATION_LOG_ENV: str(tmp_path / "none" / "log")})
    assert "could not be written" in caplog.text


def test_outside_a_container_nothing_is_put_into_dev(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(entrypoint, "TERMINATION_LOG", str(tmp_path / "termination-log"))
    write_outcome(Outcome(reached_end=True, attempt=1), {})
    assert not (tmp_path / "termination-log").exists()
    assert "on standard error alone" in caplog.text

    (tmp_path / "termination-log").touch()  # as the kubelet does
    write_outcome(Outcome(reached_end=True, attempt=1), {})
    assert outcome_of_file(tmp_path / "termination-log").reached_end


def outcome_of_file(path: Path) -> Outcome:
    return Outcome.model_validate_json(path.read_text())


def test_errors_speak_the_resources_language():
    error = ConfigurationError("max_tokens_per_gpu", 10, "is smaller than what max_seq_len keeps", "lower max_seq_len")
    assert (
        in_resource_terms(error, SFTParameters.model_fields)
        == "maxTokensPerGpu: 10 is smaller than what maxSeqLen keeps; lower maxSeqLen"
    )
    error = DataError("data_path", "/v/max_seq_len.jsonl", "x", "y")
    assert in_resource_terms(error, SFTParameters.model_fields) == "dataset.uri: '/v/max_seq_len.jsonl' x; y"


def test_no_descendant_is_left():
    """Not even one whose parent is gone: it was adopted."""
    code = (
        "import subprocess, sys\n"
        "from kubetune_trainer.entrypoint import adopt_orphans, end_descendants\n"
        "import psutil\n"
        "adopt_orphans()\n"
        'child = \'import subprocess, sys; print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)\'\n'
        "orphan = int(subprocess.run([sys.executable, '-c', child], capture_output=True, text=True).stdout)\n"
        "print(orphan, psutil.Process(orphan).name(), flush=True)\n"
        "end_descendants()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    pid, name = done.stdout.split()

    assert name == "sleep"
    assert not alive(int(pid))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(environment: dict[str, str], tmp_path: Path) -> subprocess.Popen[bytes]:
    full = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with (tmp_path / "stdout").open("wb") as out, (tmp_path / "stderr").open("wb") as err:
        return subprocess.Popen([sys.executable, "-m", "kubetune_trainer.entrypoint"], env=full, stdout=out, stderr=err)


def wait_until(condition: Any, process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert process.poll() is None, (tmp_path / "stderr").read_text()[-2000:]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.train
@pytest.mark.parametrize("algorithm", ["sft", "osft"])
def test_a_real_run(algorithm: str, contract_of: Any, environment_of: Any, tmp_path: Path, tiny_model: Path):
    from transformers import AutoModelForCausalLM

    process = start(environment_of(contract_of(algorithm)), tmp_path)
    code = process.wait(DEADLINE)
    told = (tmp_path / "stderr").read_text()

    assert code == 0, told[-3000:]
    outcome = outcome_of(tmp_path)
    assert (outcome.reached_end, outcome.step, outcome.total_steps, outcome.exit_code) == (True, 12, 12, 0)
    assert outcome.checkpoint is not None
    assert outcome.checkpoint.uri.startswith("pvc://runs/job/attempt-1/hf_format/")
    path = tmp_path / "job" / "attempt-1" / outcome.checkpoint.uri.removeprefix("pvc://runs/job/attempt-1/")
    assert check_manifest(path) == []
    before, after = (AutoModelForCausalLM.from_pretrained(p).state_dict() for p in (tiny_model, path))
    assert before.keys() == after.keys()
    assert any(not before[name].equal(after[name]) for name in before)
    report = Report.model_validate_json((tmp_path / "report.json").read_text())
    assert report.progress is not None
    assert (report.progress.step, report.progress.percent) == (12, 100)
    assert {c.kind for c in report.checkpoints} == {"hf", "full-state"}
    assert all(c.verified for c in report.checkpoints)
    assert told.strip().splitlines()[-1] == last_line(outcome)


@pytest.mark.train
def test_no_assistant_text_in_the_loss_is_refused_before_anything_starts(contract_of: Any, environment_of: Any, tmp_path: Path):
    rows = [{"messages": conversation(i)["messages"][:2]} for i in range(4)]
    data = tmp_path / "d.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    process = start(environment_of(contract_of(dataset=str(data))), tmp_path)

    assert process.wait(DEADLINE) == 2
    assert outcome_of(tmp_path).failure is FailureClass.DATA_ERROR
    assert "none of its 4 rows has an assistant turn" in outcome_of(tmp_path).message
    assert not (tmp_path / "job" / "attempt-1" / "logs").exists()


def in_the_middle(algorithm: str, contract_of: Any, environment_of: Any, tmp_path: Path, **more: Any) -> Any:
    """A run of thousands of steps, once it has done some."""
    training = {**TRAINING[algorithm], "num_epochs": 2000}
    process = start(environment_of(contract_of(algorithm, training=training, **more)), tmp_path)
    report = tmp_path / "report.json"

    def trained() -> bool:
        latest = Report.model_validate_json(report.read_text()) if report.exists() else None
        return bool(latest and latest.progress and any(c.verified for c in latest.checkpoints))

    try:
        wait_until(trained, process, tmp_path)
    except BaseException:
        process.kill()
        raise
    return process


@pytest.mark.train
@pytest.mark.parametrize("algorithm", ["sft", "osft", "lora_sft"])
def test_sigterm_in_mid_training_saves_that_very_step(algorithm: str, contract_of: Any, environment_of: Any, tmp_path: Path):
    process = in_the_middle(algorithm, contract_of, environment_of, tmp_path, graceSeconds=600)
    try:
        family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert family
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 143
    finally:
        process.kill()

    assert [pid for pid in family if alive(pid)] == []
    outcome = outcome_of(tmp_path)
    assert (outcome.reached_end, outcome.failure, outcome.exit_code) == (False, FailureClass.PREEMPTED, 143)
    assert (outcome.step > 0, outcome.total_steps, outcome.log_tail) == (True, 12000, None)
    last = Report.model_validate_json((tmp_path / "report.json").read_text()).checkpoints[-1]
    assert (last.kind, last.step, last.verified) == ("full-state", outcome.step, True)
    assert f"the last verified checkpoint is {last.uri} (step {outcome.step})" in outcome.message
    assert check_manifest(tmp_path / "job" / last.uri.removeprefix("pvc://runs/job/")) == []


@pytest.mark.train
def test_sigterm_where_saving_is_not_wanted_ends_at_once(contract_of: Any, environment_of: Any, tmp_path: Path):
    policy = {"everyEpoch": True, "onPreemption": False}
    process = in_the_middle("sft", contract_of, environment_of, tmp_path, checkpoint=policy, graceSeconds=600)
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 143
    finally:
        process.kill()
    assert outcome_of(tmp_path).failure is FailureClass.PREEMPTED
    states = (tmp_path / "job" / "attempt-1" / "full_state").iterdir()
    assert all(int(state.name.removeprefix("step_")) % 6 == 0 for state in states)  # epoch ends only


@pytest.mark.train
def test_sigterm_during_preflight(contract_of: Any, environment_of: Any, tmp_path: Path):
    """The data set is large: the preflight reads it for seconds."""
    data = tmp_path / "d.jsonl"
    data.write_text((json.dumps(conversation(0)) + "\n") * 400_000)
    process = start(environment_of(contract_of(dataset=str(data))), tmp_path)
    try:
        wait_until((tmp_path / "job" / "attempt-1").is_dir, process, tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 143
    finally:
        process.kill()

    outcome = outcome_of(tmp_path)
    assert (outcome.failure, outcome.step) == (FailureClass.PREEMPTED, 0)
    assert "before the first step" in outcome.message
