"""Defaults of an installation: laid under what a job leaves out, and nothing else."""

import pytest
from case import edited
from cases import SMALLEST

from kubetune.api import InvalidJob, PodTemplate, parse_job
from kubetune.api.defaults import FIELDS, NONE, JobDefaults, load_defaults
from kubetune.api.identity import identity

ALL = """
image: registry.example/trainer:2
imagePullPolicy: Always
queueName: shared
template:
  nodeSelector: {pool: gpu}
  tolerations: [{key: gpu, operator: Exists}]
  imagePullSecrets: [{name: registry}]
  priorityClassName: training
  labels: {team: platform}
  volumes: [{name: certs, configMap: {name: certs}}]
  volumeMounts: [{name: certs, mountPath: /etc/certs}]
"""


def job(kind: str = "SFTJob", **spec):
    return parse_job(edited(SMALLEST[kind], {f"spec.{name}": value for name, value in spec.items()}))


def errors(text: str) -> list[str]:
    with pytest.raises(InvalidJob) as caught:
        load_defaults(text)
    return [str(each) for each in caught.value.errors]


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_what_a_job_leaves_out_is_laid_under_it(kind: str):
    own = job(kind)
    laid = load_defaults(ALL).under(own)
    assert (laid.spec.image, laid.spec.image_pull_policy, laid.spec.queue_name) == (
        "registry.example/trainer:2",
        "Always",
        "shared",
    )
    assert laid.spec.template == load_defaults(ALL).template
    assert own == job(kind), "the job itself stays as it is"


def test_a_field_of_the_jobs_own_wins_whole():
    own = job(image="own:1", template={"nodeSelector": {"zone": "a"}, "tolerations": [], "labels": {}})
    laid = load_defaults(ALL).under(own).spec
    assert laid.image == "own:1"
    template = laid.template.to_dict()
    assert (template["nodeSelector"], template["tolerations"], template["labels"]) == ({"zone": "a"}, [], {})
    assert template["imagePullSecrets"] == [{"name": "registry"}], "what is beside them still comes"


@pytest.mark.parametrize(
    "own",
    [
        {"volumes": [{"name": "scratch", "emptyDir": {}}]},
        {"volumes": [{"name": "s", "emptyDir": {}}], "volumeMounts": [{"name": "s", "mountPath": "/s"}]},
        {"volumes": []},
    ],
)
def test_a_mount_never_comes_without_its_volume(own: dict):
    template = load_defaults(ALL).under(job(template=own)).spec.template.to_dict()
    assert {name: template.get(name) for name in ("volumes", "volumeMounts")} == {"volumeMounts": None, **own}


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_no_default_changes_what_is_trained(kind: str):
    assert identity(load_defaults(ALL).under(job(kind))) == identity(job(kind))


def test_without_defaults_a_job_is_itself():
    own = job()
    assert load_defaults("") == load_defaults("# nothing\n") == NONE
    assert NONE.under(own) is own
    assert load_defaults("template: {}").under(own).spec.template == PodTemplate()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imagePullSecret: []", "imagePullSecret: is no field with a default; did you mean imagePullPolicy?"),
        ("nodeSelector: {a: b}", "nodeSelector: is no field with a default; write template.nodeSelector"),
        ("queueName: 7", "queueName: 7 is not text; write it in quotes"),
        ("template: {tolerations: [{efect: x}]}", "template.tolerations[0].efect: unknown field; did you mean effect?"),
        ("template: {env: [{name: RANK, value: '1'}]}", "template.env[0].name: RANK is set by kubetune; leave it out"),
        ("resources: {limits: {}}", "resources: may have no default; GPUs decide"),
        ("template: {serviceAccountName: robot}", "template.serviceAccountName: may have no default; who reports"),
        ("template: {volumeMounts: [{name: a, mountPath: /a}]}", "template.volumeMounts[0].name: 'a' is none of template.volumes"),
        ("[image]", "file: ['image'] is not a job; write image, imagePullPolicy, queueName, template, as in a job's spec"),
        ("image: a\n---\nimage: b", "file: 2 documents are there; leave one"),
        ("image: [", "line 1: "),
    ],
)
def test_what_is_wrong_is_said_by_field_value_and_remedy(text: str, said: str):
    (found,) = errors(text)
    assert found.startswith(said)


def test_everything_that_is_wrong_is_said_at_once():
    assert len(errors("imag: a\nqueueName: 7\ntemplate: {nodeselector: {}}")) == 3


def test_each_field_with_a_default_is_one_of_a_jobs_spec():
    fields = {field.alias or name: name for name, field in type(job().spec).model_fields.items()}
    assert {alias: fields[alias] for alias in FIELDS} == FIELDS
    assert set(JobDefaults.__dataclass_fields__) == set(FIELDS.values())
