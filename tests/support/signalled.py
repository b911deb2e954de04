"""Real attempts on this machine, each a process of its own, to be looked at and broken from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from runs import environment
from waiting import until

from kubetune_trainer.contract import CONTRACT_ENV, REPORT_FILE_ENV, TERMINATION_LOG_ENV, Outcome, Report
from kubetune_trainer.report import INTERVAL_ENV

MARK = "KUBETUNE_TEST_ATTEMPT"
STARTER = """
import sys
from kubetune_trainer import entrypoint
from kubetune_trainer.backends import instructlab_training
rendered = instructlab_training.launch_of
def launch_of(run):
    launch = rendered(run)
    launch.plugins.update({plugins!r})
    for name in {without!r}:
        del launch.plugins[name]
    return launch
instructlab_training.launch_of = launch_of
sys.exit(entrypoint.main())
"""
"""The entrypoint, with other plug-ins than a CPU's."""


@dataclass
class Attempt:
    """One node of one attempt."""

    directory: Path
    contract: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self) -> Attempt:
        self.directory.mkdir(parents=True)
        files = {TERMINATION_LOG_ENV: "termination", REPORT_FILE_ENV: "report.json"}
        own = {name: str(self.directory / file) for name, file in files.items()}
        own |= {CONTRACT_ENV: json.dumps(self.contract), INTERVAL_ENV: "0", MARK: self.mark, "OMP_NUM_THREADS": "1"}
        code = STARTER.format(plugins=self.plugins, without=self.without)
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], env={**os.environ, **own, **self.environment}, stdout=log, stderr=log
            )
        return self

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()[-4000:]

    @property
    def step(self) -> int:
        file = self.directory / "report.json"
        assert self.process.poll() is None, self.log
        report = Report.model_validate_json(file.read_text()) if file.exists() else None
        return report.progress.step if report and report.progress else 0

    def trains(self, step: int = 3) -> None:
        until(lambda: self.step >= step, f"step {step}", seconds=560, evidence=lambda: self.log)

    @property
    def outcome(self) -> Outcome | None:
        file = self.directory / "termination"
        return Outcome.model_validate_json(file.read_text()) if file.exists() else None

    def processes(self) -> list[psutil.Process]:
        """Every living process of the attempt, whoever its parent is."""
        return [process for process in psutil.process_iter() if environment(process).get(MARK) == self.mark]

    def roles(self) -> dict[str, psutil.Process]:
        """One process of each kind, of the last rank, and there is no other kind; a rank's own children are its loaders of data."""
        entry = self.process.pid
        agents = [p for p in self.processes() if p.ppid() == entry]
        ranks = sorted((p for agent in agents for p in agent.children()), key=lambda p: int(environment(p)["RANK"]))
        loaders = [p for rank in ranks for p in rank.children()]
        kinds = {"entrypoint": [psutil.Process(entry)], "torchrun": agents, "rank": ranks, "loader": loaders}
        assert sum(map(len, kinds.values())) == len(self.processes()), self.processes()
        return {kind: found[-1] for kind, found in kinds.items() if found}

    def ended(self, seconds: float = 120) -> int:
        """The exit code, or minus the signal."""
        until(lambda: self.process.poll() is not None, "the end", seconds=seconds, evidence=lambda: self.log)
        return int(self.process.returncode)

    def nothing_stays(self) -> None:
        until(lambda: not self.processes(), "no process of the attempt", seconds=30, evidence=self.processes)

    def close(self) -> None:
        for process in self.processes():
            process.send_signal(signal.SIGKILL)
        self.process.wait()
