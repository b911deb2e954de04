"""Prometheus on loopback, and what it answers."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from e2e.cluster.control_plane import LOOPBACK
from e2e.cluster.processes import answers, free_ports, start, wait_until

NAME = "prometheus"
STEP_SECONDS = 1


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    port: int

    def get(self, path: str, **query: str) -> Any:
        """The data of an answer. Raises ValueError with what Prometheus said against the query."""
        url = f"http://{LOOPBACK}:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def series(self, expression: str, begin: float, end: float) -> int:
        """How many series have a value somewhere between. Raises ValueError."""
        found = self.get("query_range", query=expression, start=str(begin), end=str(end), step="2")
        return len(found["result"])

    def rules(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]


def require_program() -> None:
    """Ends the process, saying what to do, where there is no Prometheus."""
    if not shutil.which(NAME):
        sys.exit("prometheus is not on PATH: install Debian's package (apt-get install --no-install-recommends prometheus)")


def run(folder: Path, targets: Sequence[str], rules: Path, every: int = STEP_SECONDS) -> Prometheus:
    """Starts it and waits until it answers; it scrapes and evaluates each `every` seconds, and ends with `processes.stop`."""
    (port,) = free_ports(1)
    configuration = folder / "prometheus.json"  # JSON is YAML
    configuration.write_text(json.dumps(configured(targets, rules, every)))
    process = start(
        folder, NAME, NAME, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'metrics'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    )  # fmt: skip
    wait_until(partial(answers, f"http://{LOOPBACK}:{port}/-/ready"), process, folder / f"{NAME}.log")
    return Prometheus(port)


def configured(targets: Sequence[str], rules: Path, every: int = STEP_SECONDS) -> dict[str, Any]:
    """By default every second, so that a minute is enough to see rates."""
    pace = {"scrape_interval": f"{every}s", "evaluation_interval": f"{every}s"}
    scrape = {"job_name": "kubetune", "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
    return {"global": pace, "rule_files": [str(rules)], "scrape_configs": [scrape]}
