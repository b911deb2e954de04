"""The commands through their own parser; nothing here trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from kubetune.cli.app import kubetune
from kubetune.local.state import StateDir


def sft(**spec: Any) -> dict[str, Any]:
    base = {
        "model": {"uri": "pvc://models/m"},
        "dataset": {"uri": "pvc://data/train.jsonl"},
        "output": {"uri": "pvc://runs"},
        "device": "cpu",
    }
    return {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "a"}, "spec": base | spec}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(kubetune, list(arguments), input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def write(*documents: dict[str, Any], file: str = "job.yaml") -> str:
    Path(file).write_text(yaml.safe_dump_all(documents))
    return file


def test_validate_says_what_is_valid_and_what_is_not(call) -> None:
    good, bad = write(sft()), write(sft(nodes=0, devise="cpu"), file="bad.yaml")
    result = call("validate", good, bad)
    assert result.exit_code == 2
    assert result.stdout == "job.yaml: SFTJob default/a is valid\n"
    assert "spec.nodes" in result.stderr
    assert "spec.devise" in result.stderr
    assert "did you mean device?" in result.stderr
    assert call("validate", good).exit_code == 0


def test_validate_reads_standard_input(call) -> None:
    assert call("validate", "-", stdin=yaml.safe_dump(sft())).exit_code == 0
    assert call("validate", "-", stdin="a: [").exit_code == 2


def test_render_prints_the_operators_pytorchjob(call) -> None:
    from kubetune.api import parse_job
    from kubetune.controller.child import stamped
    from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob

    result = call("render", write(sft(nodes=2)), "--image", "i:1", "--uid", "11111111-0000-0000-0000-000000000000")
    assert result.exit_code == 0
    document = sft(nodes=2) | {"metadata": {"name": "a", "uid": "11111111-0000-0000-0000-000000000000"}}
    job = parse_job(document)
    assert yaml.safe_load(result.stdout) == stamped(render_pytorchjob(job, AttemptPlan(1), RenderSettings(image="i:1")), job)
    assert result.stdout == call("render", "job.yaml", "--image", "i:1", "--uid", "11111111-0000-0000-0000-000000000000").stdout


def test_render_lays_the_operators_defaults_under_the_job(call) -> None:
    Path("defaults.yaml").write_text("{image: 'i:2', template: {nodeSelector: {pool: gpu}}}")
    job = write(sft(template={"tolerations": []}))
    manifest = yaml.safe_load(call("render", job, "--image", "i:1", "--job-defaults", "defaults.yaml").stdout)
    pod = manifest["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    assert (pod["nodeSelector"], pod["containers"][0]["image"]) == ({"pool": "gpu"}, "i:2")
    own = yaml.safe_load(call("render", job).stdout)["metadata"]["annotations"]
    assert manifest["metadata"]["annotations"] == own, "what is trained is the same"


@pytest.mark.parametrize("text", ["imag: i", "image: [", "\x00", None])
def test_defaults_that_are_no_good_are_refused_by_name(call, text: str | None) -> None:
    if text is not None:
        Path("defaults.yaml").write_text(text)
    result = call("render", write(sft()), "--job-defaults", "defaults.yaml")
    assert result.exit_code == 2
    assert "--job-defaults defaults.yaml" in result.stderr


def test_crds_prints_both(call) -> None:
    documents = list(yaml.safe_load_all(call("crds").stdout))
    assert [d["spec"]["names"]["kind"] for d in documents] == ["SFTJob", "OSFTJob"]


def test_version(call) -> None:
    assert call("--version").stdout.startswith("kubetune 0.")


def test_help_and_version_import_nothing_slow() -> None:
    code = (
        "import sys\nsys.argv = ['kubetune', '--help']\nfrom kubetune.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "slow = {'kubernetes', 'kubeflow', 'pydantic', 'rich', 'torch', 'yaml', 'psutil'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "--version" in done.stdout


REFUSED = {
    "unknown field": (sft(trainig={}), "spec.trainig", "did you mean training?"),
    "out of range": (
        sft() | {"kind": "OSFTJob", "spec": sft()["spec"] | {"training": {"unfreezeRankRatio": 1.5}}},
        "spec.training.unfreezeRankRatio",
        "1.5",
    ),
    "missing model": (sft(), "spec.model.uri", "pass --volume models=DIR"),
    "missing data": (sft(), "spec.dataset.uri", "pass --volume data=DIR"),
    "missing path": (sft(model={"uri": "/no/such/model"}), "spec.model.uri: /no/such/model does not exist", "check the path"),
    "missing configMap": (sft(dataset={"uri": "configMap://data/a.jsonl"}), "spec.dataset.uri", "--config-map data=DIR"),
    "another job that was never run": (
        sft(model=None, resumeFrom={"jobRef": {"name": "base"}}),
        "spec.resumeFrom.jobRef.name: SFTJob base was never run",
        "run it first",
    ),
    "suspended": (sft(runPolicy={"suspend": True}), "spec.runPolicy.suspend", "remove it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_run_refuses_before_anything_starts(call, case: str) -> None:
    document, *parts = REFUSED[case]
    result = call("run", write(document))
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
    assert result.stdout == ""
    assert not list(Path(".kubetune").rglob("*.json"))


def test_run_refuses_gpus_that_are_not_there(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    document = sft()
    del document["spec"]["device"]
    result = call("run", write(document))
    assert result.exit_code == 2
    assert "spec.device: gpu" in result.stderr
    assert "device: cpu" in result.stderr
    assert "--device cpu" in result.stderr
    assert "spec.device" not in call("run", "job.yaml", "--device", "cpu").stderr


def test_run_refuses_broken_yaml_and_bad_options(call) -> None:
    Path("job.yaml").write_text("kind: [")
    assert "job.yaml, line 1" in call("run", "job.yaml").stderr
    assert call("run", write(sft()), "--volume", "data").exit_code == 2
    Path("file").touch()
    assert "--state-dir file/state cannot be used" in call("run", write(sft()), "--state-dir", "file/state").stderr
    assert "no such directory" in call("run", write(sft()), "--volume", "data=/no/such").stderr


def test_what_does_not_happen_here_is_said(call) -> None:
    template = {"sidecars": [{"name": "logger", "image": "l:1"}]}
    assert "spec.template.sidecars (logger) do not run here" in call("run", write(sft(template=template))).stderr


def test_ctrl_c_before_the_start_is_130_too(call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("kubetune.cli.run.run_file", interrupted)
    assert call("run", "job.yaml").exit_code == 130


def test_a_configmap_in_the_file_is_there_for_the_job(call) -> None:
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "data"}, "data": {"a.jsonl": "{}"}}
    result = call("run", write(configmap, sft(dataset={"uri": "configMap://data/a.jsonl"})))
    assert "spec.dataset.uri" not in result.stderr  # only the model is missing
    assert "spec.model.uri" in result.stderr
    assert Path(".kubetune/configmaps/data/a.jsonl").read_text() == "{}"


def test_a_job_that_succeeded_earlier_is_shown_with_the_remedy(call, tmp_path: Path) -> None:
    from kubetune.local.store import Store

    model, data = tmp_path / "m", tmp_path / "d.jsonl"
    model.mkdir()
    data.touch()
    document = sft(model={"uri": str(model)}, dataset={"uri": str(data)})
    stored = document | {
        "metadata": {"name": "a", "namespace": "default", "uid": "u1", "generation": 1},
        "status": {"phase": "Succeeded", "progress": {"step": 9, "totalSteps": 9}},
    }
    Store(StateDir.create(tmp_path / ".kubetune").resources).put(stored)

    shown = call("run", write(document), "-o", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["status"]["phase"] == "Succeeded"
    assert "--again" in shown.stderr

    changed = call("run", write(sft(model={"uri": str(model)}, dataset={"uri": str(data)}, training={"learningRate": 1e-4})))
    assert changed.exit_code == 2
    assert "spec.training.learningRate" in changed.stderr
    assert "--again" in changed.stderr
