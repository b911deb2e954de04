"""Jobs that train to their end in pods of the real trainer image, on real nodes, under the operator's real image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml
from real_cluster import Job, Namespace
from real_nodes import submit
from recovery import PATIENCE, Training
from scenario_records import Scenario, TellScenario
from waiting import until
from weights import difference

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(4 * PATIENCE)]

EXAMPLES = Path(__file__).parents[2] / "examples" / "cpu"
LIMITS = [
    {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.cpu": "1500m", "limits.memory": "8Gi", "pods": "2"}},
    },
    {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "pods"},
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "defaultRequest": {"cpu": "700m", "memory": "256Mi"},
                    "default": {"cpu": "2", "memory": "3Gi"},
                }
            ]
        },
    },
]


@pytest.mark.parametrize("kind", ["OSFTJob", "SFTJob"])
def test_two_nodes_train_what_one_process_trains(
    namespace: Namespace, volumes: Path, tiny_model: Path, kind: str, tell_scenario: TellScenario
) -> None:
    alone = submit(namespace, volumes, kind, name="alone")
    alone.succeeds()
    tell_scenario(alone.scenario(f"{kind} on one node", "nothing"))

    pair = submit(namespace, volumes, kind, name="pair", nodes=2)
    pair.succeeds()
    assert len({pod["spec"]["nodeName"] for pod in pair.job.pods(1)}) == 2, "each on a node of its own"
    apart = difference(alone.checkpoint, pair.checkpoint)
    assert difference(tiny_model, pair.checkpoint) > 0.005, "it learned"
    assert apart < 1e-3
    what = f"nothing; its weights differ from those of one node by {apart:.1e} of their norm"
    tell_scenario(pair.scenario(f"{kind} on two nodes", what))


@pytest.mark.parametrize("example", ["osft-two-nodes", "sft-two-nodes"])
def test_an_example_is_applied_in_a_namespace_with_quota_and_limits(
    namespace: Namespace, volumes: Path, example: str, tell_scenario: TellScenario
) -> None:
    namespace.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(LIMITS))
    file = EXAMPLES / f"{example}.yaml"
    namespace.kubectl("apply", "-f", str(file))
    example_job = yaml.safe_load(file.read_text())
    training = Training(Job(namespace, example_job["kind"], example_job["metadata"]["name"]), volumes)
    training.succeeds()
    done = f"`kubectl apply -f examples/cpu/{example}.yaml` under Pod Security restricted, a ResourceQuota and a LimitRange"
    tell_scenario(training.scenario(f"{example_job['kind']} of `examples/`", done))


def test_a_gang_beyond_the_quota_is_said_in_the_clusters_words(
    namespace: Namespace, volumes: Path, tell_scenario: TellScenario
) -> None:
    namespace.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(LIMITS))
    job = submit(namespace, volumes, nodes=2).job  # 2.2 CPUs
    until(partial(says, job, "exceeded quota"), "the quota in the status", seconds=60, evidence=job.evidence)
    running = job.condition("Running")
    said = f"{job.phase}, {running['reason']}: {running['message']}"
    tell_scenario(Scenario("The namespace's quota is too small", "two pods of 1.1 CPUs, a ResourceQuota of 1.5", said, 1))


def says(job: Job, words: str) -> bool:
    return words in job.condition("Running").get("message", "")


def test_two_jobs_share_a_node(namespace: Namespace, volumes: Path, tell_scenario: TellScenario) -> None:
    node = "node-0"
    half = {
        "spec.resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "4Gi"}},
        "spec.template": {"nodeSelector": {"kubernetes.io/hostname": node}},
    }
    both = [submit(namespace, volumes, kind, edit=half) for kind in ("SFTJob", "OSFTJob")]
    for training in both:
        training.job.wait("Running", "Succeeded", "Failed", seconds=PATIENCE)
    for training in both:
        training.succeeds()
        assert training.job.pods(1)[0]["spec"]["nodeName"] == node
    done = "an SFTJob and an OSFTJob of one name, at once"
    tell_scenario(both[0].scenario("Two jobs on one node", done))
