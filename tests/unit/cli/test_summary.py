from __future__ import annotations

import ast
import math
import shlex
from datetime import UTC, datetime, timedelta

from kubetune.api.status import Failure, JobStatus, Phase
from kubetune.cli.summary import advice, last_state, next_command, rows
from kubetune_trainer.contract import Checkpoint, Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = {"kind": "SFTJob", "metadata": {"namespace": "default", "name": "a"}}


def checkpoint(step: int, kind: str = "full-state", verified: bool = True) -> Checkpoint:
    return Checkpoint(uri=f"pvc://runs/{step}", step=step, bytes=518_000, kind=kind, verified=verified)


def lines(status: JobStatus) -> list[str]:
    return [f"{label}: {text}" for label, text in rows(JOB, status, lambda uri: uri.replace("pvc://", "/here/"))]


def test_a_success_names_the_checkpoint_here_and_by_uri() -> None:
    status = JobStatus(
        phase=Phase.SUCCEEDED,
        restarts=1,
        progress=Progress(step=18, total_steps=18, loss=4.85),
        start_time=NOW,
        completion_time=NOW + timedelta(seconds=72),
        final_checkpoint=checkpoint(18, "hf"),
    )
    assert lines(status) == [
        "Job: SFTJob default/a",
        "Phase: Succeeded",
        "Steps: 18/18, loss 4.85",
        "Time: 1:12",
        "Restarts: 1",
        "Checkpoint: /here/runs/18",
        ": pvc://runs/18, verified, 518 kB",
    ]


def test_the_loss_in_a_line_where_there_is_a_curve() -> None:
    said = [rows(JOB, JobStatus(), str, losses) for losses in ([4.0, None, math.nan, 2.0], [4.0], [math.nan, math.nan], ())]
    assert ("Loss", "█!▁ 4 to 2") in said[0]
    assert all("Loss" not in dict(each) for each in said[1:])


def test_a_failure_names_class_pod_and_message() -> None:
    failure = Failure(failure_class="DataError", reason="DataError", message="line 3 is no JSON", pod="a-sft-1-master-0")
    assert lines(JobStatus(phase=Phase.FAILED, failure=failure))[-1] == "Failure: DataError in a-sft-1-master-0: line 3 is no JSON"


def test_a_checkpoint_in_a_store_is_fetched_first() -> None:
    assert advice("/runs/a/samples_8").startswith("Ask it:\n")
    said = advice("s3://runs/a b/samples_8").splitlines()
    assert said[0] == "Fetch it:"
    assert shlex.split(said[1]) == ["aws", "s3", "cp", "--recursive", "s3://runs/a b/samples_8", "samples_8"]


def test_the_next_command_is_one_line_of_valid_python_for_any_path() -> None:
    path = '/tmp/it\'s "here"/model'
    python, flag, code = shlex.split(next_command(path))
    assert flag == "-c"
    assert python.endswith(("python", "python3", "python3.11"))
    constants = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    assert path in constants


def test_the_last_state_is_the_newest_that_verified() -> None:
    status = JobStatus(checkpoints=(checkpoint(6), checkpoint(12), checkpoint(18, verified=False), checkpoint(18, "hf")))
    assert last_state(status).step == 12
    assert last_state(JobStatus()) is None
