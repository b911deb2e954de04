"""When a glance is enough, and at what."""

from kubetune.controller.quiet import GLANCE_SECONDS, Quiet
from kubetune.controller.workqueue import Key

TEACH = Key("OSFTJob", "default", "teach")


def quiet() -> Quiet:
    its = Quiet()
    its.looked(TEACH, 100.0, quiet=True)
    return its


def test_a_job_is_glanced_at_for_a_while_after_its_first_look():
    its = quiet()
    assert TEACH in its
    assert its.glance(TEACH, 130.0) == "teach-osft-1-master-0"
    its.looked(TEACH, 140.0, quiet=True)
    assert its.glance(TEACH, 100.0 + GLANCE_SECONDS) is None


def test_what_is_heard_of_it_asks_for_one_whole_look():
    its = quiet()
    its.stir(TEACH)
    assert its.glance(TEACH, 101.0) is None
    assert its.glance(TEACH, 102.0) is not None


def test_a_job_that_was_told_of_or_was_never_quiet_is_looked_at():
    its = quiet()
    its.looked(TEACH, 101.0, quiet=False)
    assert TEACH not in its
    assert its.glance(TEACH, 102.0) is None
    its.stir(TEACH)
    its.looked(TEACH, 103.0, quiet=True)
    assert its.glance(TEACH, 104.0) is not None, "what was heard before its quiet is no news"
    its.clear()
    assert its.glance(TEACH, 105.0) is None
