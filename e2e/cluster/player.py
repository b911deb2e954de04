"""Plays the trainer in kwok's pods, which run no container: reports as a trainer does, then ends the pod.

    python -m e2e.cluster.player --kubeconfig FILE [--namespace default] [--seconds 60]

Each report goes by `kubetune_trainer.api_report` with a token bound to the master's pod, so that deploy/ decides whether it may.
What is reported is made up: nothing is trained.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from e2e.cluster import processes, volumes
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.tokens import mounted, token
from kubetune.cluster import ATTEMPT, ClusterError
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune_trainer.api_report import ApiReporter
from kubetune_trainer.contract import (
    CONTRACT_ENV,
    NOT_RETRYABLE,
    Checkpoint,
    Contract,
    FailureClass,
    Outcome,
    Progress,
    Report,
)

logger = logging.getLogger(__name__)

NAME = "player"
NAMESPACE, SECONDS = "default", 60.0
STEPS = 20
POLL_SECONDS = 0.3
MERGE = "application/merge-patch+json"
SECONDS_OF_ITS_OWN = "test/train-seconds"
"""Annotation of a pod whose training lasts otherwise than the player's."""
FAILS = "test/train-fails"
"""Annotation of a pod whose training fails after a quarter of its steps: with which class."""


@dataclass(frozen=True)
class Player:
    """The trainer of every job in one namespace; a training lasts `seconds`."""

    kubeconfig: Path
    namespace: str
    seconds: float
    folder: Path

    def run(self) -> None:
        """Until the process is ended: each pod of a job is taken up once, when it runs."""
        api, known = KubernetesApi(connect(str(self.kubeconfig))), set[str]()
        while True:
            for pod in self._pods(api):
                if pod["status"].get("phase") == "Running" and pod["metadata"]["uid"] not in known:
                    known.add(pod["metadata"]["uid"])
                    threading.Thread(target=self._take_up, args=(pod,), daemon=True).start()
            time.sleep(POLL_SECONDS)

    def _pods(self, api: KubernetesApi) -> list[dict[str, Any]]:
        try:
            return api.items(f"/api/v1/namespaces/{self.namespace}/pods", query={"labelSelector": ATTEMPT})
        except ClusterError as error:
            logger.warning("%s", error)
            return []

    def _take_up(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        try:
            Part(KubernetesApi(connect(str(self.kubeconfig))), self, pod).play()
        except ClusterError as error:
            logger.warning("%s: %s", name, error)


@dataclass(frozen=True)
class Part:
    """One pod's."""

    api: KubernetesApi
    player: Player
    pod: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.player.namespace}/pods/{self.pod['metadata']['name']}"

    @property
    def annotations(self) -> dict[str, str]:
        return self.pod["metadata"].get("annotations") or {}

    @property
    def seconds(self) -> float:
        return float(self.annotations.get(SECONDS_OF_ITS_OWN, self.player.seconds))

    def play(self) -> None:
        """The master reports and ends with the outcome of its training; a worker just ends (kwok.yaml)."""
        if "-master-" not in self.pod["metadata"]["name"]:
            self.annotate({"test/run-seconds": f"{self.seconds}s"})
        elif outcome := self.train(self.contract()):
            end = {"test/run-seconds": "0s"} if outcome.reached_end else {"test/exit-code": str(outcome.exit_code)}
            self.annotate({"test/outcome": outcome.to_message(), **end})

    def runs(self) -> bool:
        """Whether the pod still does: one that was killed, suspended or preempted says nothing any more."""
        try:
            pod = self.api.json(Request("GET", self.path))
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]

    def annotate(self, annotations: dict[str, str]) -> None:
        self.api.json(Request("PATCH", self.path, body={"metadata": {"annotations": annotations}}, content=MERGE))

    def contract(self) -> Contract:
        """What the operator gave the trainer."""
        variables = self.pod["spec"]["containers"][0]["env"]
        return Contract.model_validate_json(next(each["value"] for each in variables if each["name"] == CONTRACT_ENV))

    def train(self, contract: Contract) -> Outcome | None:
        """Reports every step and a checkpoint half-way; goes on where the last verified state is. None if the pod ended before."""
        account = self.pod["spec"]["serviceAccountName"]
        granted = token(self.api, self.player.namespace, account, self.pod)
        client = mounted(self.player.kubeconfig, granted, self.player.folder)
        reporter = ApiReporter(contract.job, client.apply, contract.earlier_checkpoints)
        begin = max((each.step for each in contract.earlier_checkpoints if each.kind == "full-state"), default=0)
        checkpoints: tuple[Checkpoint, ...] = ()
        for step in range(begin + 1, STEPS + 1):
            time.sleep(self.seconds / STEPS)
            if not self.runs():
                reporter.close()
                return None
            if step == STEPS // 2:
                checkpoints = (checkpoint(contract, step, "full-state"),)
            reporter(Report(attempt=contract.attempt, progress=self.progress(step, begin), checkpoints=checkpoints))
            if FAILS in self.annotations and step == STEPS // 4:
                reporter.close()
                return failed(contract, step, FailureClass(self.annotations[FAILS]))
        last = checkpoint(contract, STEPS, "hf")
        reporter(Report(attempt=contract.attempt, progress=self.progress(STEPS, begin), checkpoints=(*checkpoints, last)))
        reporter.close()
        return Outcome(reached_end=True, attempt=contract.attempt, step=STEPS, total_steps=STEPS, checkpoint=last)

    def progress(self, step: int, begin: int) -> Progress:
        return Progress(
            step=step,
            total_steps=STEPS,
            percent=100 * step / STEPS,
            loss=loss(step),
            losses=tuple(loss(each) for each in range(begin + 1, step + 1)),
            eta_seconds=round(self.seconds * (STEPS - step) / STEPS),
            updated_time=datetime.now(UTC),
        )


def loss(step: int) -> float:
    return round(0.7 + 1.6 * math.exp(-3 * step / STEPS), 4)


def failed(contract: Contract, step: int, failure: FailureClass) -> Outcome:
    told = {"failure": failure, "message": "made up by a script", "exit_code": 2 if failure in NOT_RETRYABLE else 1}
    return Outcome(reached_end=False, attempt=contract.attempt, step=step, total_steps=STEPS, **told)


def checkpoint(contract: Contract, step: int, kind: Literal["hf", "full-state"]) -> Checkpoint:
    """One that a trainer would have read back."""
    uri = f"{contract.attempt_uri}/{kind}-{step}"
    return Checkpoint(uri=uri, step=step, bytes=269_000_000, kind=kind, verified=True, time=datetime.now(UTC))


def start(plane: ControlPlane) -> None:
    """In the background, for the namespace `default`, which gets the claims that the examples name."""
    made = [make(NAMESPACE, claim) for claim in volumes.CLAIMS for make in (volumes.volume, volumes.volume_claim)]
    plane.apply(made)
    stop(plane.folder)
    processes.start(plane.folder, NAME, sys.executable, "-m", "e2e.cluster.player", f"--kubeconfig={plane.kubeconfig}")


def stop(folder: Path) -> None:
    processes.stop(folder, NAME)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster.player", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="an administrator's")
    parser.add_argument("--namespace", default=NAMESPACE, help="whose jobs to play (default)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long a training lasts (60)")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s")
    with tempfile.TemporaryDirectory(prefix="player-") as folder:
        Player(given.kubeconfig, given.namespace, given.seconds, Path(folder)).run()


if __name__ == "__main__":
    main()
