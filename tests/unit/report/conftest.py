"""The recorded run: one attempt lost its rank, the next one everything, the third found a state damaged and reached the end."""

import json
from pathlib import Path

import pytest

from kubetune.report.sources import read_material
from kubetune.report.story import story_of

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture(scope="session")
def directory():
    return next((RECORDED / "volumes" / "runs").iterdir())


@pytest.fixture(scope="session")
def job():
    return json.loads((RECORDED / "resources" / "osftjob" / "default" / "teach.json").read_text())


@pytest.fixture(scope="session")
def material(directory, job):
    return read_material(directory, job)


@pytest.fixture(scope="session")
def story(material):
    return story_of(material)


@pytest.fixture(scope="session")
def logged(directory):
    """By attempt: what the backend wrote, line by line, read by nothing of ours."""
    return {
        number: [
            json.loads(line) for line in (directory / f"attempt-{number}" / "training_metrics_0.jsonl").read_text().splitlines()
        ]
        for number in (1, 2, 3)
    }
