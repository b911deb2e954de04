from __future__ import annotations

from pathlib import Path

import pytest

from kubetune.api.defaults import load_defaults
from kubetune.controller.__main__ import parser, settings
from kubetune.controller.operator_settings import IMAGE_ENV, OperatorSettings
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings


def test_the_defaults_are_those_of_the_settings():
    given = settings(parser().parse_args(["--image=trainer:1"]))
    assert given == OperatorSettings(ControllerSettings(render=RenderSettings(image="trainer:1"), hold_retries=True))


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


def test_the_defaults_of_jobs_come_from_a_file(tmp_path: Path):
    file = tmp_path / "defaults.yaml"
    file.write_text("{queueName: shared, template: {priorityClassName: training}}")
    found = settings(parser().parse_args(["--image=trainer:1", f"--job-defaults={file}"])).controller.job_defaults
    assert found == load_defaults(file.read_text())
    assert found.queue_name == "shared"


@pytest.mark.parametrize(
    ("text", "said"), [("queueNam: a", "did you mean queueName?"), ("a: [", "line 1"), (None, "cannot be read")]
)
def test_a_file_of_defaults_that_is_no_good_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
):
    file = tmp_path / "defaults.yaml"
    if text:
        file.write_text(text)
    with pytest.raises(SystemExit):
        parser().parse_args(["--image=trainer:1", f"--job-defaults={file}"])
    told = capsys.readouterr().err
    assert "--job-defaults" in told
    assert str(file) in told
    assert said in told


def test_an_image_is_needed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(IMAGE_ENV, raising=False)
    with pytest.raises(SystemExit):
        parser().parse_args([])
    assert "--image" in capsys.readouterr().err
