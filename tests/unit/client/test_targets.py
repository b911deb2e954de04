import pytest

from kubetune.client.errors import NotFoundError
from kubetune.client.targets import Target, is_kind, kind_named, nearest, parse_target, typed_name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("teach", None),
        ("osftjob/teach", "OSFTJob"),
        ("OSFTJobs/teach", "OSFTJob"),
        ("sftj/teach", "SFTJob"),
        ("osftjob.kubetune.dev/teach", "OSFTJob"),
    ],
)
def test_a_job_is_named_as_kubectl_names_it(text: str, kind: str | None):
    assert parse_target(text, "ml") == Target("teach", "ml", kind)


def test_another_kind_is_refused_with_the_remedy():
    with pytest.raises(NotFoundError, match="'pod' is no kind of kubetune's; write sftjob/NAME or osftjob/NAME"):
        parse_target("pod/teach", "ml")


def test_kinds_alone_and_typed_names():
    assert is_kind("osftjobs")
    assert not is_kind("teach")
    assert kind_named("sftjobs.v1alpha1.kubetune.dev") == "SFTJob"
    assert typed_name("OSFTJob", "teach") == "osftjob/teach"


def test_what_to_do_about_a_job_that_is_not_there():
    there = [("SFTJob", "teach-granite"), ("OSFTJob", "other")]
    assert nearest(Target("teach-granit", "ml"), there) == "did you mean sftjob/teach-granite?"
    assert "kubetune get" in nearest(Target("zzz", "ml"), there)
    assert "no job in namespace ml" in nearest(Target("zzz", "ml"), [])
