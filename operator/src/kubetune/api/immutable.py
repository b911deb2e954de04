"""What may not change once a job has started, as CEL transition rules; their twin is `identity.changed_fields`."""

from __future__ import annotations

from kubetune.api.job import KINDS
from kubetune.api.rule import Rule
from kubetune.api.rules_placement import IS_GPU

REMEDY = "make a new job with another name; resumeFrom can start it from this one's checkpoint"


def immutability_rules(kind: str) -> tuple[Rule, ...]:
    """One rule for each part of the spec that `identity` covers, with the defaults that it fills in."""
    return tuple(transition(kind, field, same) for field, same in parts(kind).items())


def parts(kind: str) -> dict[str, str]:
    """Field of the spec -> what must be true of the resource before (@old) and after (@new)."""
    return {
        "backend": stays(optional("spec.backend", f"'{KINDS[kind].default_backend}'")),
        "model": stays(optional("spec.model.uri")),
        "resumeFrom": both(
            stays(optional("spec.resumeFrom.uri")),
            stays(optional("spec.resumeFrom.jobRef.name")),
            stays(f"({present('spec.resumeFrom.jobRef')} ? {optional('spec.resumeFrom.jobRef.kind', '@.kind')} : '')"),
        ),
        "dataset": both(stays("@.spec.dataset.uri"), stays(dataset_format(kind))),
        "output": stays("@.spec.output.uri"),
        "training": training_stays(kind),
        "nodes": stays(optional("spec.nodes", "1")),
        "procsPerNode": stays(procs_per_node()),
        "device": stays(optional("spec.device", "'gpu'")),
    }


def stays(value: str) -> str:
    """`value`, an expression over @, is the same before and after."""
    return f"{value.replace('@', 'self')} == {value.replace('@', 'oldSelf')}"


def both(*conditions: str) -> str:
    return " && ".join(conditions)


def present(path: str) -> str:
    """Whether there is a value at a path below spec, no parent of which must be there."""
    steps = path.split(".")
    return both(*(f"has(@.{'.'.join(steps[:depth])})" for depth in range(2, len(steps) + 1)))


def optional(path: str, otherwise: str = "''") -> str:
    """The value there or a default. (CEL's optional types say it shorter, but their cost estimate has no bound.)"""
    return f"({present(path)} ? @.{path} : {otherwise})"


def training_stays(kind: str) -> str:
    """The blocks are equal. Where one is left out, the other holds nothing: for an SFTJob the two mean the same."""
    if kind == "OSFTJob":
        return stays("@.spec.training")
    names = [field.alias or name for name, field in KINDS[kind].parameters().model_fields.items()]
    empty = both(*(f"!has(@.spec.training.{name})" for name in names))
    old, new = empty.replace("@", "oldSelf"), empty.replace("@", "self")
    return (
        f"(has(self.spec.training) ? (has(oldSelf.spec.training) ? {stays('@.spec.training')} : {new})"
        f" : (!has(oldSelf.spec.training) || ({old})))"
    )


def dataset_format(kind: str) -> str:
    processed = "@.spec.training.useProcessedDataset"
    otherwise = f"(has({processed}) && {processed} ? 'processed' : 'messages')" if kind == "OSFTJob" else "'messages'"
    return optional("spec.dataset.format", otherwise)


def procs_per_node() -> str:
    limits = "@.spec.resources.limits"
    counted = f"{limits}.exists(k, {IS_GPU} && string({limits}[k]).matches('^[0-9]{{1,4}}$'))"
    total = f"{limits}.filter(k, {IS_GPU} && string({limits}[k]).matches('^[0-9]{{1,4}}$')).map(k, int(string({limits}[k]))).sum()"
    given = f"has(@.spec.resources) && has({limits}) && {counted}"
    return f"(has(@.spec.procsPerNode) ? @.spec.procsPerNode : ({given} ? {total} : 1))"


def transition(kind: str, field: str, same: str) -> Rule:
    return Rule(
        name=f"{field.lower()}-stays",
        kinds=(kind,),
        scope="",
        field=f"spec.{field}",
        message="may not change once the job has started",
        remedy=REMEDY,
        find=lambda _: (),
        cel=f"!has(oldSelf.status) || !has(oldSelf.status.startTime) || ({same})",
    )
