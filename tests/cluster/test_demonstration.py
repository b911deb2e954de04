"""What README shows: an example is applied, the columns move, `kubectl wait` ends; the trainer is played (e2e/cluster/player.py)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_process import OperatorProcess
from real_cluster import Namespace
from waiting import until

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def player(namespace: Namespace) -> Iterator[None]:
    command = ["-m", "e2e.cluster.player", f"--kubeconfig={namespace.kubeconfig}", f"--namespace={namespace.name}", "--seconds=10"]
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    yield
    assert process.poll() is None, "it plays until it is ended"
    process.kill()
    process.wait()


@pytest.fixture
def watched(namespace: Namespace, tmp_path: Path) -> Iterator[Path]:
    """What `kubectl get osftjobs -w` prints."""
    seen = tmp_path / "seen"
    command = [str(namespace.program), f"--kubeconfig={namespace.kubeconfig}", "-n", namespace.name, "get", "osftjobs", "-w"]
    with seen.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    yield seen
    process.kill()
    process.wait()


@pytest.mark.usefixtures("operator", "player")
def test_an_example_moves_from_its_first_step_to_succeeded(namespace: Namespace, operator: OperatorProcess, watched: Path):
    namespace.kubectl("apply", "-f", str(ROOT / "examples/minimal/osft.yaml"))
    until(lambda: "Running" in watched.read_text(), "it runs", evidence=lambda: watched.read_text() + operator.said)
    waited = namespace.kubectl("wait", "--for=condition=Succeeded", "--timeout=150s", "osftjob/teach-granite")
    assert "condition met" in waited.stdout
    until(lambda: "Succeeded" in watched.read_text(), "the watch tells of the end")
    rows = table(watched.read_text())
    assert list(dict.fromkeys(row["PHASE"] for row in rows)) == ["Running", "Succeeded"]
    running = [row for row in rows if row["PHASE"] == "Running"]
    for column in ("PROGRESS", "ETA"):
        assert len({row[column] for row in running}) >= 5, f"{column} moves"
    losses = [float(row["LOSS"]) for row in running]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) >= 5, "LOSS moves"
    assert rows[-1]["PROGRESS"].startswith("100")


def table(text: str) -> list[dict[str, str]]:
    """The rows in which every column has a value (kubectl aligns each anew)."""
    head, *lines = (line.split() for line in text.splitlines())
    return [dict(zip(head, values, strict=True)) for values in lines if len(values) == len(head)]
