"""A real training run that reports to a real API server, with the token of its master's pod."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from reporting import Lab

from kubetune_trainer import api_report
from kubetune_trainer.contract import Contract
from kubetune_trainer.entrypoint import run_attempt
from kubetune_trainer.preemption import GracefulStop

pytestmark = pytest.mark.cluster


def test_the_status_shows_what_the_trainer_did(
    lab: Lab, tmp_path: Path, tiny_model: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
):
    job = lab.job("teach")
    api = lab.reach(lab.masters_token("teach-sft-1-master-0"))
    monkeypatch.setattr(api_report, "SERVICE_ACCOUNT_DIR", api.folder)
    directory = f"{job.namespace}-{job.name}-{job.uid[:8]}"
    contract = Contract(
        job=job,
        attempt=1,
        algorithm="sft",
        backend="instructlab-training",
        model=str(tiny_model),
        dataset=str(tiny_data),
        output=str(tmp_path / directory),
        output_uri=f"/o/{directory}",
        device="cpu",
        training={"num_epochs": 2, "effective_batch_size": 8, "learning_rate": 1e-3, "max_seq_len": 128},
        report="api",
    )
    cluster = {"KUBERNETES_SERVICE_HOST": api.host, "KUBERNETES_SERVICE_PORT": str(api.port)}
    outcome = run_attempt(contract, {**os.environ, **cluster}, GracefulStop(), ExitStack())

    assert outcome.reached_end
    assert outcome.checkpoint is not None
    status = lab.status(job)
    assert status["phase"] == "Running", "what became of it is the operator's to say"
    progress = status["progress"]
    assert progress["step"] == progress["totalSteps"] == outcome.step
    assert progress["percent"] == 100
    assert outcome.checkpoint.uri in [each["uri"] for each in status["checkpoints"] if each["verified"]]
