"""Each <case>/job.yaml (with attempt.yaml, if there is one) renders to exactly <case>/pytorchjob.yaml.

`pytest tests/golden --update-golden` writes the files anew; read the difference before it is committed.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetune.api import parse_job
from kubetune.api.identity import output_subdir, procs_per_node
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob, to_yaml
from kubetune_trainer.contract import CONTRACT_ENV, Checkpoint, Contract

SETTINGS = RenderSettings(image="registry.example/kubetune-trainer:0.1.0")
CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/job.yaml"))
EXPECTED_CASES = 18

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def job_of(case: Path) -> dict[str, Any]:
    return yaml.safe_load((case / "job.yaml").read_text())


def plan_of(case: Path) -> AttemptPlan:
    file = case / "attempt.yaml"
    given = yaml.safe_load(file.read_text()) if file.exists() else {}
    return AttemptPlan(
        number=given.get("number", 1),
        resume_from=tuple(given.get("resumeFrom", ())),
        model_uri=given.get("modelUri"),
        checkpoints=tuple(Checkpoint.model_validate(each) for each in given.get("checkpoints", ())),
    )


def rendered(case: Path) -> str:
    return to_yaml(render_pytorchjob(parse_job(job_of(case)), plan_of(case), SETTINGS))


def reversed_keys(value: Any) -> Any:
    """The same document with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(each) for each in value] if isinstance(value, list) else value


def test_no_case_got_lost():
    assert len(CASES) == EXPECTED_CASES


@each_case
def test_golden(case, request):
    golden, text = case / "pytorchjob.yaml", rendered(case)
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text(), "if the change is meant: pytest tests/golden --update-golden"


@each_case
def test_the_order_of_the_users_keys_does_not_matter(case):
    job = reversed_keys(job_of(case))
    assert list(job) != list(job_of(case))
    assert to_yaml(render_pytorchjob(parse_job(job), plan_of(case), SETTINGS)) == rendered(case)


@each_case
def test_the_golden_is_a_gang_that_agrees_with_its_contract(case):
    job, plan = parse_job(job_of(case)), plan_of(case)
    spec = yaml.safe_load((case / "pytorchjob.yaml").read_text())["spec"]
    replicas = spec["pytorchReplicaSpecs"]
    assert sum(each["replicas"] for each in replicas.values()) == job.spec.nodes
    for replica in replicas.values():
        (container,) = replica["template"]["spec"]["containers"]
        env = {each["name"]: each.get("value") for each in container["env"]}
        contract = Contract.model_validate_json(env[CONTRACT_ENV])
        assert (contract.algorithm, contract.backend, contract.attempt) == (job.algorithm, job.backend, plan.number)
        assert (contract.nodes, contract.device) == (job.spec.nodes, job.spec.device)
        assert spec["nprocPerNode"] == str(contract.procs_per_node) == str(procs_per_node(job))
        assert contract.output_uri == f"{job.spec.output.uri}/{output_subdir(job)}"
        assert contract.training == job.spec.training.given()
        gpus = sum(count for name, count in container["resources"]["limits"].items() if name.startswith("nvidia.com/"))
        assert gpus == (contract.procs_per_node if job.spec.device == "gpu" else 0)
        check_every_path_is_mounted(contract, container["volumeMounts"])


def check_every_path_is_mounted(contract: Contract, mounts: list[dict[str, Any]]) -> None:
    paths = [contract.model, contract.dataset, contract.output, *contract.resume_from]
    for path in (path for path in paths if not path.startswith(("hf://", "s3://"))):
        over = [mount for mount in mounts if path.startswith(mount["mountPath"] + "/")]
        assert over, path
        assert path != contract.output or not any(mount.get("readOnly") for mount in over)
