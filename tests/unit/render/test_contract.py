import pytest

from kubetune.api.identity import spec_hash
from kubetune.render import AttemptPlan
from kubetune_trainer.contract import CheckpointPolicy

OSFT = {"unfreezeRankRatio": 0.3, "effectiveBatchSize": 8, "maxTokensPerGpu": 512, "maxSeqLen": 256, "learningRate": 1e-5}
SUBDIR = "lab-j-8a1f6c02"


def test_identity(render, make_job):
    job = render(kind="OSFTJob").contract.job
    assert (job.kind, job.namespace, job.name) == ("OSFTJob", "lab", "j")
    assert job.spec_hash == spec_hash(make_job(kind="OSFTJob"))


@pytest.mark.parametrize(
    ("kind", "algorithm", "backend"), [("SFTJob", "sft", "instructlab-training"), ("OSFTJob", "osft", "mini-trainer")]
)
def test_algorithm_and_backend(render, kind, algorithm, backend):
    contract = render(kind=kind).contract
    assert (contract.algorithm, contract.backend) == (algorithm, backend)


def test_paths_are_the_pods_and_the_uri_stays_the_users(render):
    contract = render(model={"uri": "pvc://models/a/b"}, output={"uri": "pvc://runs/team"}).contract
    assert contract.model == "/kubetune/volumes/models/a/b"
    assert contract.dataset == "/kubetune/volumes/data/train.jsonl"
    assert contract.output == f"/kubetune/volumes/runs/team/{SUBDIR}"
    assert contract.output_uri == f"pvc://runs/team/{SUBDIR}"
    assert contract.attempt_dir == f"/kubetune/volumes/runs/team/{SUBDIR}/attempt-1"


def test_hub_names_are_handed_on(render):
    assert render(model={"uri": "hf://org/name@v1"}).contract.model == "hf://org/name@v1"


def test_training_holds_only_what_was_set_by_python_names(render):
    assert render().contract.training == {}
    assert render(training={"numEpochs": 2, "useLiger": False}).contract.training == {"num_epochs": 2, "use_liger": False}


def test_size_and_device(render):
    contract = render(nodes=3, procsPerNode=2, device="cpu").contract
    assert (contract.nodes, contract.procs_per_node, contract.device) == (3, 2, "cpu")


def test_the_trainer_ends_a_hang_by_itself_where_the_job_has_a_limit(render):
    assert render().contract.hang_seconds is None
    assert render(runPolicy={"progressDeadlineSeconds": 600}).contract.hang_seconds == 600


def test_resumed_attempt(render):
    states = (f"pvc://runs/{SUBDIR}/attempt-1/full_state/epoch_1", f"pvc://runs/{SUBDIR}/attempt-1/full_state/epoch_0")
    contract = render(AttemptPlan(number=2, resume_from=states, model_uri="pvc://models/other")).contract
    assert contract.attempt == 2
    assert contract.resume_from == tuple(uri.replace("pvc://", "/kubetune/volumes/") for uri in states)
    assert contract.model == "/kubetune/volumes/models/other"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, CheckpointPolicy()),
        ({"checkpoint": {"everySteps": 10, "keep": 3}}, CheckpointPolicy(every_steps=10, keep=3)),
        ({"checkpoint": {"keepWeights": 2}}, CheckpointPolicy(keep_weights=2)),
        ({"checkpoint": {"everyEpoch": False, "everyMinutes": 30}}, CheckpointPolicy(every_epoch=False, every_minutes=30)),
        ({"training": {"accelerateFullStateAtEpoch": False}}, CheckpointPolicy(every_epoch=False)),
        ({"training": {"accelerateFullStateAtEpoch": True}}, CheckpointPolicy()),
    ],
)
def test_checkpoint_policy(render, spec, expected):
    assert render(**spec).contract.checkpoint == expected


@pytest.mark.parametrize("form", ["messages", "processed"])
def test_dataset_format(render, form):
    assert render(dataset={"uri": "pvc://data/a.jsonl", "format": form}).contract.dataset_format == form


def test_processed_by_the_usage_documents_name(render):
    training = {**OSFT, "useProcessedDataset": True}
    assert render(kind="OSFTJob", training=training).contract.dataset_format == "processed"


def test_resume_from_a_uri_is_the_model(render):
    contract = render(model=None, resumeFrom={"uri": "pvc://models/earlier/hf_format/samples_96.0"}).contract
    assert contract.model == "/kubetune/volumes/models/earlier/hf_format/samples_96.0"


def test_resume_from_a_job_needs_the_plan_to_say_which_checkpoint(render):
    start = {"model": None, "resumeFrom": {"jobRef": {"name": "earlier"}}}
    with pytest.raises(ValueError, match=r"spec.resumeFrom.jobRef is not resolved.*resumeFrom.uri"):
        render(**start)
    assert render(AttemptPlan(number=1, model_uri="pvc://runs/x"), **start).contract.model == "/kubetune/volumes/runs/x"


def test_where_the_metrics_are_sent_has_its_defaults_from_the_job(render):
    """All attempts of a job share one run of each tracker, and one directory of event files."""
    assert render().contract.tracking is None
    every = {"tensorboard": {}, "mlflow": {}, "wandb": {}}
    tracking = render(output={"uri": "pvc://runs"}, tracking=every).contract.tracking
    assert tracking.tensorboard.log_dir == f"/kubetune/volumes/runs/{SUBDIR}/tensorboard"
    assert (tracking.mlflow.tracking_uri, tracking.mlflow.experiment, tracking.mlflow.run_name) == (None, "lab", "j")
    stored = render(output={"uri": "s3://runs/team"}, tracking=every).contract
    assert stored.tracking.tensorboard.log_dir == f"{stored.output}/tensorboard" == f"/var/kubetune/output/{SUBDIR}/tensorboard"
    assert (tracking.wandb.project, tracking.wandb.entity, tracking.wandb.run_name) == ("lab", None, "j")

    named = {"tensorboard": {"logDir": "/b"}, "mlflow": {"trackingUri": "http://m", "experiment": "e", "runName": "r"}}
    tracking = render(tracking=named).contract.tracking
    assert tracking.tensorboard.log_dir == "/b"
    assert (tracking.mlflow.tracking_uri, tracking.mlflow.experiment, tracking.mlflow.run_name) == ("http://m", "e", "r")
    assert tracking.wandb is None
