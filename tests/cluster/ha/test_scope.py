"""Which jobs an operator works on."""

import pytest
from waiting import until

pytestmark = pytest.mark.cluster


def test_operators_of_different_labels_share_a_namespace(start, plane, namespace):
    lease = f"--lease-namespace={namespace}"
    ours = start("ours", f"--namespace={namespace}", "--selector=team=a")
    plane.create_job(namespace, "theirs", team="b")
    plane.create_job(namespace, "ours", team="a")
    until(lambda: plane.children(namespace) == ["ours-sft-1"], "ours has a child")
    until(lambda: ours.metric('kubetune_jobs{class="",kind="SFTJob",phase="Pending"}') == 1, "one job is in scope")
    theirs = start("theirs", f"--namespace={namespace}", "--selector=team=b", lease)
    until(lambda: len(plane.children(namespace)) == 2, "theirs has one, too: another scope, another Lease")
    assert ours.leads
    assert theirs.leads
    assert "theirs" not in {line.get("job", "").rsplit("/")[-1] for line in ours.lines()}


def test_an_operator_of_one_namespace_leaves_the_others_alone(start, plane, namespace):
    other = f"{namespace}-b"
    plane.kubectl("create", "namespace", other)
    one = start("one", f"--namespace={namespace}")
    plane.create_job(other, "elsewhere")
    plane.create_job(namespace, "here")
    until(lambda: plane.children(namespace) == ["here-sft-1"], "the one in scope has a child")
    assert plane.children(other) == []
    one.end()
    start("both", f"--namespace={namespace}", f"--namespace={other}")
    until(lambda: plane.children(other) == ["elsewhere-sft-1"], "several namespaces may be named")
    plane.kubectl("delete", "namespace", other, "--wait=false")
