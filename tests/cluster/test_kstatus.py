"""kstatus' own code on the statuses that the loop writes: kpt, Config Sync, Flux (`wait: true`) see a job so."""

import json
import subprocess

import pytest
from standings import STANDINGS, manifest

from e2e.cluster import binaries

pytestmark = pytest.mark.cluster

EXPECTED = {
    "unseen": "InProgress",
    "queued": "InProgress",
    "starting": "InProgress",
    "running": "InProgress",
    "restarting": "InProgress",
    "suspended": "Current",
    "succeeded": "Current",
    "failed": "Failed",
    "invalid": "Failed",
    "edited": "InProgress",
    "changed_while_running": "InProgress",
    "changed_and_stopped": "Failed",
    "refused": "Failed",
}
"""A suspended job is as it is wished to be. A job that fails is Failed at once, one that is retried only when it gives up."""


def test_what_kstatus_makes_of_each_standing():
    jobs = [manifest(name) for name in STANDINGS]
    done = subprocess.run(
        [binaries.path("kstatus")], input=json.dumps(jobs), text=True, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = dict(zip(STANDINGS, (line.split("\t") for line in done.stdout.splitlines()), strict=True))
    assert {name: status for name, (status, _) in said.items()} == EXPECTED
    assert "learningRat" in said["invalid"][1]
