"""The whole path, driven by a backend with faults on demand. Data are tokenised already: tokenising has its own tests."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import JOB, ScriptedBackend, save_empty, save_nan, save_nothing, save_torn, save_trained, save_unchanged
from tiny import write_messages
from waiting import until

from kubetune_trainer.backends.base import BackendRun, Torchrun
from kubetune_trainer.backends.common import node_log_dir
from kubetune_trainer.checkpoints import check_manifest, read_manifest
from kubetune_trainer.contract import FailureClass, Report, WeightsKind
from kubetune_trainer.data.preflight import PROBE
from kubetune_trainer.errors import ConfigurationError, DataError, TrainingError
from kubetune_trainer.launch.evidence import write_stage
from kubetune_trainer.parameters import SFTParameters
from kubetune_trainer.run import RunFailedError, run_training


def test_a_run_that_did_all_it_should(plan_of: Any, tmp_path: Path):
    reports: list[Report] = []
    seen: dict[str, Any] = {}

    def at(step: int) -> None:
        if step == 6:  # the monitor verifies the first epoch's checkpoint while the second trains
            until(lambda: reports and len(reports[-1].checkpoints) == 2, "the run comes that far")
            seen["during"] = reports[-1]

    result = run_training(plan_of(ScriptedBackend(on_step=at), report=reports.append))

    out = tmp_path / "job" / "attempt-1"
    assert result.reached_end
    assert (result.step, result.total_steps, len(result.losses)) == (10, 10, 10)
    assert result.checkpoint is not None
    assert result.checkpoint.uri == "pvc://runs/job/attempt-1/hf_format/samples_80"
    assert result.checkpoint.verified
    assert result.checkpoint.bytes == sum(
        f.stat().st_size for f in (out / "hf_format" / "samples_80").iterdir() if "kubetune" not in f.name
    )
    assert [(c.kind, c.step, c.epoch) for c in result.checkpoints] == [("full-state", 5, 1), ("hf", 5, 1), ("hf", 10, 2)]
    for checkpoint in ("hf_format/samples_40", "hf_format/samples_80", "full_state/step_5"):
        assert check_manifest(out / checkpoint) == []
    manifest = read_manifest(out / "full_state" / "step_5")
    assert (manifest.step, manifest.epoch, manifest.world_size, manifest.attempt, manifest.job) == (5, 1, 1, 1, JOB)
    assert manifest.algorithm == "sft"
    assert {"kubetune", "torch", "pydantic"} <= set(manifest.versions)  # the backend's own among them
    assert "not-installed" not in manifest.versions
    assert set(result.seconds) == {"preflight", "tokenise", "train", "verify"}
    assert seen["during"].progress is not None
    assert seen["during"].progress.step < 10
    assert reports[-1].progress is not None
    assert (reports[-1].progress.step, reports[-1].progress.percent) == (10, 100)
    assert reports[-1].checkpoints == result.checkpoints


def test_what_is_done_before_the_first_step_is_told(plan_of: Any, tmp_path: Path):
    """The scripted backend says what a rank would; a resume does not fall back to step 0, a worker node says nothing."""
    reports: list[Report] = []

    class Slow(ScriptedBackend):
        def run(self, run: BackendRun) -> None:
            until(lambda: reports and reports[-1].progress.stage.startswith("starting the ranks"), "the monitor looks")
            node_log_dir(run).mkdir(parents=True)
            write_stage(node_log_dir(run), "computing SVD 1 of 2")
            until(lambda: reports[-1].progress.stage == "computing SVD 1 of 2", "the monitor looks")
            super().run(run)

    with pytest.raises(RunFailedError):
        run_training(plan_of(Slow(stop_after=7), report=reports.append))
    told = [r.progress.stage for r in reports if r.progress and r.progress.stage]
    assert told[0] == "fetching and checking the model and the data"
    assert set(told[1:]) >= {"tokenising the data", "computing SVD 1 of 2"}
    assert reports[-1].progress is not None
    assert (reports[-1].progress.step, reports[-1].progress.stage) == (7, None)

    reports.clear()
    state = str(tmp_path / "job" / "attempt-1" / "full_state" / "step_5")
    run_training(plan_of(Slow(), attempt=2, output_dir=tmp_path / "job" / "attempt-2", resume_from=(state,), report=reports.append))
    steps = [r.progress.step for r in reports if r.progress]
    assert steps[0] == 5
    assert steps == sorted(steps)


def test_what_a_backend_keeps_for_further_attempts_goes_with_the_last(plan_of: Any, tmp_path: Path):
    def keep(run: BackendRun) -> None:
        assert run.cache_dir == tmp_path / "job" / "cache"
        (run.cache_dir / "svd").mkdir(parents=True, exist_ok=True)

    class Keeping(ScriptedBackend):
        def run(self, run: BackendRun) -> None:
            keep(run)
            super().run(run)

    with pytest.raises(RunFailedError):
        run_training(plan_of(Keeping(stop_after=7)))
    assert (tmp_path / "job" / "cache" / "svd").is_dir()
    run_training(plan_of(Keeping(), attempt=2, output_dir=tmp_path / "job" / "attempt-2"))
    assert not (tmp_path / "job" / "cache").exists()


# the fault, the class, what the message says
FAULTS: list[tuple[str, dict[str, Any], FailureClass, str]] = [
    ("exit without training", {"stop_after": -1}, FailureClass.BACKEND_ERROR, "without training a single step"),
    ("the last step is missing", {"stop_after": 9}, FailureClass.BACKEND_ERROR, "ended at step 9 of 10"),
    ("ended after the first epoch", {"stop_after": 5, "known_total": False}, FailureClass.BACKEND_ERROR, "ended at step 5 of 10"),
    ("NaN", {"nan_from": 7}, FailureClass.NON_FINITE_LOSS, "the loss is nan since step 7"),
    ("no checkpoint", {"save": save_nothing}, FailureClass.BACKEND_ERROR, "none was written"),
    ("an empty directory", {"save": save_empty}, FailureClass.BACKEND_ERROR, "samples_80 is an empty directory"),
    ("unchanged weights", {"save": save_unchanged}, FailureClass.BACKEND_ERROR, "nothing was trained"),
    ("a torn file", {"save": save_torn}, FailureClass.BACKEND_ERROR, "cannot be read"),
    ("NaN in the weights", {"save": save_nan}, FailureClass.BACKEND_ERROR, "NaN or infinite"),
    ("a worker failed", {"error": TrainingError(FailureClass.CUDA_OOM, "rank 3", log_tail="x")}, FailureClass.CUDA_OOM, "rank 3"),
    ("a bug of the backend", {"error": ZeroDivisionError("by zero")}, FailureClass.BACKEND_ERROR, "by zero"),
]


@pytest.mark.parametrize(("script", "failure", "says"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_every_fault_is_a_failure(plan_of: Any, script: dict[str, Any], failure: FailureClass, says: str):
    with pytest.raises(RunFailedError) as caught:
        run_training(plan_of(ScriptedBackend(**script)))

    assert caught.value.failure_class is failure
    assert says in str(caught.value)
    assert not caught.value.result.reached_end
    assert caught.value.result.checkpoint is None
    assert caught.value.outcome.exit_code == 1
    assert isinstance(caught.value, TrainingError)


def test_the_next_attempt_and_the_other_node_take_the_tokenised_data(plan_of: Any, tmp_path: Path, tiny_data: Path):
    given = {"dataset": str(tiny_data), "dataset_format": "messages", "parameters": SFTParameters(effective_batch_size=8)}
    first = run_training(plan_of(**given))
    job = tmp_path / "job"
    second = run_training(plan_of(**given, attempt=2, output_dir=job / "attempt-2"))
    worker = Torchrun(nnodes=2, node_rank=1, endpoint="localhost:1")
    on_worker = run_training(plan_of(**given, attempt=3, output_dir=job / "attempt-3", torchrun=worker))

    assert [result.data.reused for result in (first, second, on_worker) if result.data] == [False, True, True]
    assert {path.name for path in job.iterdir() if "kubetune" not in path.name} == {
        "attempt-1",
        "attempt-2",
        "attempt-3",
        "data-cache",
    }
    assert (job / "attempt-3" / "data" / "node-1" / "data.jsonl").samefile(job / "attempt-1" / "data" / "node-0" / "data.jsonl")


def test_the_cache_can_be_elsewhere_or_off(plan_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBETUNE_DATA_CACHE", str(tmp_path / "shared"))
    run_training(plan_of())
    result = run_training(plan_of(attempt=2, output_dir=tmp_path / "another" / "attempt-2"))
    assert result.data is not None
    assert result.data.reused
    monkeypatch.setenv("KUBETUNE_DATA_CACHE", "off")
    run_training(plan_of(attempt=3, output_dir=tmp_path / "third" / "attempt-3"))

    assert not list(tmp_path.glob("*/data-cache"))


def test_a_limit_of_the_data_is_a_refusal_before_anything_is_launched(plan_of: Any, monkeypatch: pytest.MonkeyPatch):
    """All rows of the data are equal."""
    monkeypatch.setenv("KUBETUNE_DATA_REFUSE_DUPLICATE_PERCENT", "90")
    backend = ScriptedBackend()
    with pytest.raises(DataError, match=r"39 of 40 rows \(97.5 %\) repeat an earlier one"):
        run_training(plan_of(backend))
    assert not backend.runs


def test_a_failed_run_leaves_what_the_next_can_resume_from(plan_of: Any, tmp_path: Path):
    with pytest.raises(RunFailedError) as caught:
        run_training(plan_of(ScriptedBackend(stop_after=7, error=RuntimeError("killed"))))

    verified = [c for c in caught.value.result.checkpoints if c.verified]
    assert [(c.kind, c.step) for c in verified] == [("full-state", 5), ("hf", 5)]
    state = tmp_path / "job" / "attempt-1" / "full_state" / "step_5"

    backend = ScriptedBackend()
    result = run_training(
        plan_of(
            backend,
            attempt=2,
            output_dir=tmp_path / "job" / "attempt-2",
            output_uri="pvc://runs/job/attempt-2",
            resume_from=(str(tmp_path / "gone"), str(state)),
        )
    )
    assert result.reached_end
    assert result.resumed_from == "pvc://runs/job/attempt-1/full_state/step_5"
    assert len(result.losses) == 5
    assert backend.runs[0].resume_from == state
    assert read_manifest(tmp_path / "job" / "attempt-2" / "hf_format" / "samples_80").attempt == 2


def test_a_checkpoint_still_being_written_is_not_judged(plan_of: Any, caplog: pytest.LogCaptureFixture):
    """The directory is there and torn while the save goes on; only a later step, or the backend's return, completes it."""

    class SlowSave(ScriptedBackend):
        def save_epoch(self, run: BackendRun, step: int) -> None:
            target = run.output_dir / "hf_format" / f"samples_{8 * step}"
            save_torn(run.model_dir, target)
            polls = []
            found = self.found
            self.found = lambda run, steps: polls.append(1) or found(run, steps)  # type: ignore[method-assign]
            until(lambda: len(polls) > 3, "the run comes that far")
            save_trained(run.model_dir, target.with_name("whole"))
            for file in target.with_name("whole").iterdir():
                file.replace(target / file.name)
            target.with_name("whole").rmdir()

    result = run_training(plan_of(SlowSave(full_states=False)))

    assert [c.verified for c in result.checkpoints] == [True, True]
    assert "is no checkpoint" not in caplog.text


def test_a_state_from_a_torn_directory_starts_from_the_start(plan_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    backend = ScriptedBackend()
    result = run_training(plan_of(backend, resume_from=(str(tmp_path / "none"),)))

    assert backend.runs[0].resume_from is None
    assert result.resumed_from is None
    assert "not resumed from" in caplog.text
    assert "training starts from the start" in caplog.text


def test_a_worker_node_judges_its_own_steps_only(plan_of: Any, tmp_path: Path):
    torchrun = Torchrun(nnodes=2, node_rank=1, endpoint="master:1")
    reports: list[Report] = []
    result = run_training(plan_of(ScriptedBackend(save=save_nothing), torchrun=torchrun, report=reports.append))

    assert result.reached_end
    assert result.checkpoint is None
    assert reports == []
    assert (tmp_path / "job" / "attempt-1" / "data" / "node-1" / "data.jsonl").is_file()
    with pytest.raises(RunFailedError, match="ended at step 9 of 10"):
        run_training(plan_of(ScriptedBackend(stop_after=9), torchrun=torchrun, output_dir=tmp_path / "other"))


def test_an_attempts_directory_must_be_new(plan_of: Any, tmp_path: Path):
    """Another container of the same attempt may still be writing there. The other nodes' data may be there first."""
    out = tmp_path / "job" / "attempt-1"
    (out / "data" / "node-1").mkdir(parents=True)
    (out / f"{PROBE}x").touch()  # another node proves that it can write
    assert run_training(plan_of()).reached_end

    backend = ScriptedBackend()
    with pytest.raises(TrainingError, match="already holds full_state, hf_format") as caught:
        run_training(plan_of(backend))
    assert caught.value.failure_class.retryable
    assert backend.runs == []


def test_nothing_is_launched_where_the_input_is_bad(plan_of: Any, tmp_path: Path):
    backend = ScriptedBackend()
    (tmp_path / "file").write_text("in the way")
    no_assistant = write_messages(tmp_path / "d.jsonl", 1)
    no_assistant.write_text('{"messages": [{"role": "user", "content": "x"}]}')
    for change, kind, field in (
        ({"model": str(tmp_path / "none")}, ConfigurationError, "model_path"),
        ({"dataset": str(tmp_path / "none")}, DataError, "data_path"),
        ({"dataset": str(no_assistant), "dataset_format": "messages"}, DataError, "data_path"),
        ({"output_dir": tmp_path / "file" / "below"}, ConfigurationError, "ckpt_output_dir"),
        ({"parameters": SFTParameters(use_liger=True)}, ConfigurationError, "use_liger"),
        ({"parameters": SFTParameters(max_seq_len=29)}, DataError, "max_seq_len"),
        (
            {"parameters": SFTParameters(max_seq_len=28, max_tokens_per_gpu=28), "dataset_format": "messages"},
            DataError,
            "data_path",
        ),
        ({"parameters": SFTParameters(checkpoint_at_epoch=False, save_samples=7)}, ConfigurationError, "save_samples"),
    ):
        with pytest.raises(kind) as caught:
            run_training(plan_of(backend, **change))
        assert caught.value.field == field, change
    assert backend.runs == []


def test_each_kind_of_weights_is_read_back_by_the_algorithms_own_verifier(plan_of: Any, tiny_model: Path):
    class Adapters(ScriptedBackend):
        def found(self, run: BackendRun, steps: list[Any]) -> list[Any]:
            found = super().found(run, steps)
            return [replace(c, kind="adapter") if c.kind == "hf" else c for c in found]

    class OwesAnAdapter(SFTParameters):
        @property
        def owed_kind(self) -> WeightsKind:
            return "adapter"

    seen: list[tuple[Path, Path]] = []
    parameters = OwesAnAdapter(num_epochs=2, effective_batch_size=8)
    verifiers = {"adapter": lambda path, base: seen.append((path, base)) or []}
    result = run_training(plan_of(Adapters(save=save_empty), parameters=parameters, verifiers=verifiers))
    assert result.checkpoint is not None
    assert (result.checkpoint.kind, result.checkpoint.step) == ("adapter", 10)
    assert [(path.name, base) for path, base in seen] == [("samples_40", tiny_model), ("samples_80", tiny_model)]

    bad = plan_of(Adapters(), job=None, parameters=parameters, verifiers={"adapter": lambda *_: ["is of lead"]})
    with pytest.raises(RunFailedError, match="samples_80 is of lead"):
        run_training(bad)


def test_a_gpu_that_is_not_there(plan_of: Any, monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigurationError, match="shows no GPU") as caught:
        run_training(plan_of(device="gpu"))
    assert caught.value.field == "device"

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigurationError, match="shows 2 GPUs") as caught:
        run_training(plan_of(device="gpu", torchrun=Torchrun(nproc_per_node=4)))
    assert caught.value.field == "nproc_per_node"

    monkeypatch.setattr("kubetune_trainer.run.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip install liger-kernel") as caught:
        run_training(plan_of(device="gpu", parameters=SFTParameters(use_liger=True)))
    assert caught.value.field == "use_liger"
    assert run_training(plan_of(device="gpu", torchrun=Torchrun(nproc_per_node=2))).reached_end


def test_what_the_backend_is_given(plan_of: Any, tiny_model: Path, tmp_path: Path):
    backend = ScriptedBackend()
    run_training(plan_of(backend, parameters=SFTParameters(num_epochs=2, effective_batch_size=8)))

    run = backend.runs[0]
    assert run.model_dir == tiny_model
    assert run.data_file == tmp_path / "job" / "attempt-1" / "data" / "node-0" / "data.jsonl"
    assert {"input_ids", "labels", "len"} == set(json.loads(run.data_file.read_text().splitlines()[0]))
    assert run.parameters == {
        "num_epochs": 2,
        "effective_batch_size": 8,
        "learning_rate": 2e-5,
        "max_seq_len": 512,  # the model's positions, fewer than our 4096
        "max_tokens_per_gpu": 512,
    }


def test_data_directory_of_the_users(plan_of: Any, tmp_path: Path):
    backend = ScriptedBackend()
    parameters = SFTParameters(num_epochs=2, data_output_dir=str(tmp_path / "tokens"))
    run_training(plan_of(backend, parameters=parameters))
    torchrun = Torchrun(nnodes=2, node_rank=1, endpoint="m:1")
    run_training(plan_of(backend, parameters=parameters, torchrun=torchrun, output_dir=tmp_path / "other"))

    assert [run.data_file for run in backend.runs] == [
        tmp_path / "tokens" / "data.jsonl",
        tmp_path / "tokens" / "node-1" / "data.jsonl",
    ]


def test_a_monitor_that_stumbles_stops_nothing(plan_of: Any, caplog: pytest.LogCaptureFixture):
    class Stumbling(ScriptedBackend):
        stumbles = 3

        def found(self, run: BackendRun, steps: list[Any]) -> list[Any]:
            if self.stumbles:
                self.stumbles -= 1
                raise OSError("stale file handle")
            return super().found(run, steps)

    backend = Stumbling(on_step=lambda step: until(lambda: not backend.stumbles, "the run comes that far"))
    with caplog.at_level(logging.ERROR):
        assert run_training(plan_of(backend)).reached_end
    assert "stale file handle" in caplog.text
    assert math.isfinite(run_training(plan_of(job=None)).losses[-1])
