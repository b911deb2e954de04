from collections import Counter
from random import Random

from e2e.chaos.plans import STORIES, plans
from e2e.chaos.proxy import Asked, Kind
from e2e.chaos.weather import PER_MILLE, chooser
from kubetune.api import parse_job


def test_one_seed_gives_the_same_jobs_and_another_one_others():
    assert plans(7, 50, 600) == plans(7, 50, 600)
    assert plans(7, 50, 600) != plans(8, 50, 600)


def test_two_hundred_jobs_tell_every_story():
    assert set(Counter(plan.story for plan in plans(1, 200, 600))) == {story for story, _ in STORIES}


def test_each_is_a_valid_job_created_in_time():
    for plan in plans(3, 200, 60):
        manifest = plan.manifest("chaos")
        manifest["metadata"]["uid"] = "u"
        assert parse_job(manifest).spec.nodes == plan.nodes
        assert 0 <= plan.create <= 48
        assert plan.at < plan.back
        assert plan.run >= 3


def test_the_last_verdict_holds_for_all_later_attempts():
    plan = next(p for p in plans(1, 200, 600) if p.story == "fails, then succeeds")
    assert plan.verdict(1) in ("oom", "killed", "silent")
    assert plan.verdict(len(plan.verdicts)) == plan.verdict(99) == "end"


def test_faults_come_as_often_as_the_table_says():
    draw = chooser(Random(1))
    asked = Asked("GET", "/", {})
    drawn = [draw(asked) for _ in range(20_000)]
    share = sum(1 for fault in drawn if fault) / len(drawn)
    assert abs(share - sum(parts for parts, _ in PER_MILLE) / 1000) < 0.02
    assert {fault.kind for fault in drawn if fault} == set(Kind)
    assert all(0.05 <= fault.seconds <= 2 for fault in drawn if fault and fault.kind is Kind.DELAY)
