from __future__ import annotations

import pytest
from cases import ACCEPTED, CASES, CHANGES, REJECTED, Case, Change

from kubetune.api import InvalidJob, parse_job
from kubetune.api.identity import changed_fields, identity, spec_hash
from kubetune.api.rules import RULES


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_accepted(case: Case):
    job = parse_job(case.document())
    assert job.to_dict() == case.document(), "what was read is not what was written"


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case.name)
def test_rejected_with_one_error_that_names_the_field(case: Case):
    with pytest.raises(InvalidJob) as caught:
        parse_job(case.document())
    (error,) = caught.value.errors
    assert error.field == case.where or error.field.startswith((f"{case.where}[", f"{case.where}."))
    assert case.says in str(error)
    assert error.message
    assert error.remedy


def test_every_rule_has_a_case_that_breaks_it():
    broken = {rule.name for rule in RULES for case in REJECTED if case.kind in rule.kinds and list(rule.errors(case.document()))}
    assert {rule.name for rule in RULES} - broken == set()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_changes_of_a_started_job(change: Change):
    old, new = (parse_job(document) for document in change.documents())
    changed = changed_fields(identity(old), identity(new))
    assert {path.split(".")[1] for path in changed} == ({change.refused} if change.refused else set())
    assert (spec_hash(old) != spec_hash(new)) == bool(change.refused)
