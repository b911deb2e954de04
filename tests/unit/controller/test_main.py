from __future__ import annotations

import pytest

from kubetune.controller.__main__ import parser, settings
from kubetune.controller.operator_settings import IMAGE_ENV, OperatorSettings
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings


def test_the_defaults_are_those_of_the_settings():
    given = settings(parser().parse_args(["--image=trainer:1"]))
    assert given == OperatorSettings(ControllerSettings(render=RenderSettings(image="trainer:1")))


def test_every_time_can_be_chosen():
    times = ["--sweep-seconds=60", "--poll-seconds=5", "--backoff-base-seconds=2.5", "--backoff-cap-seconds=20"]
    places = ["--namespace=a", "--namespace=b"]
    given = settings(parser().parse_args(["--image=trainer:1", "--straggler-seconds=7", *places, *times]))
    controller = given.controller
    assert (given.sweep_seconds, given.namespaces) == (60, ("a", "b"))
    assert controller.straggler_seconds == 7
    assert (controller.poll_seconds, controller.backoff_base_seconds, controller.backoff_cap_seconds) == (5, 2.5, 20)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_wait_of_nothing_is_refused_by_name(capsys: pytest.CaptureFixture[str], value: str):
    with pytest.raises(SystemExit):
        parser().parse_args(["--image=trainer:1", f"--poll-seconds={value}"])
    said = capsys.readouterr().err
    assert "--poll-seconds" in said
    assert value in said


def test_an_image_is_needed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(IMAGE_ENV, raising=False)
    with pytest.raises(SystemExit):
        parser().parse_args([])
    assert "--image" in capsys.readouterr().err
