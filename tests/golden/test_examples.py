"""Every job below examples/ is valid and renders."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetune.api import KINDS, parse_job
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = Path(__file__).parents[2] / "docs" / "examples.md"
UID = "8a1f6c02-4f0e-4f7b-9d55-0c8c7a3a5e11"
"""An API server would give one; a file has none."""
PROMOTED = "pvc://runs/earlier/attempt-1/hf"
"""Where the job of resumeFrom.jobRef left its checkpoint: the cluster knows."""


def jobs() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for file in sorted(EXAMPLES.rglob("*.yaml")):
        documents = yaml.safe_load_all(file.read_text())
        found += [
            (str(file.relative_to(EXAMPLES)), each) for each in documents if isinstance(each, dict) and each.get("kind") in KINDS
        ]
    return found


def test_the_gallery_is_whole():
    """A folder for each thing, and a row of the page for each folder."""
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert {"minimal", "two-nodes", "eight-gpus", "osft-chain", "s3", "hf", "kueue", "spot", "notebook", "cpu"} <= folders
    assert folders == set(re.findall(r"^\| `([\w-]+)/`", PAGE.read_text(), re.MULTILINE))
    assert {name.split("/")[0] for name, _ in jobs()} >= folders - {"ci", "notebook"}
    assert [path.name for path in EXAMPLES.iterdir() if path.is_file()] == []


@pytest.mark.parametrize(("name", "document"), jobs(), ids=[name for name, _ in jobs()])
def test_example(name, document):
    document["metadata"]["uid"] = UID
    job = parse_job(document)
    start = job.spec.resume_from
    promoted = PROMOTED if start and start.job_ref else None
    manifest = render_pytorchjob(job, AttemptPlan(number=1, model_uri=promoted), RenderSettings(image="registry.example/trainer:1"))
    replicas = manifest["spec"]["pytorchReplicaSpecs"]
    assert sum(each["replicas"] for each in replicas.values()) == job.spec.nodes
