import json
import logging

from kubetune.controller.logs import JsonFormatter, about, configure

LOGGER = logging.getLogger("kubetune.test")


def line(message: str, *args: object, exc_info=None, **extra: object) -> dict:
    record = LOGGER.makeRecord(LOGGER.name, logging.WARNING, __file__, 1, message, args, exc_info, extra=extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_is_one_object_with_what_it_is_about():
    with about(job="SFTJob ns/a", attempt=2):
        said = line("lost %s:\n%s", "it", "log")
        assert line("so", reason="Hang", attempt=3)["attempt"] == 3
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "warning", "logger": "kubetune.test", "message": "lost it:\nlog", "job": "SFTJob ns/a", "attempt": 2,
    }  # fmt: skip
    assert "job" not in line("outside")


def test_a_traceback_stays_in_its_line():
    try:
        raise ValueError("a bug")  # noqa: TRY301 - it is the test
    except ValueError as error:
        said = line("oh", exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: a bug" in said["error"]


def test_the_format_is_chosen_once_for_all_lines(capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        root.handlers[:] = []
        configure("json", verbose=False)
        LOGGER.info("hello", extra={"job": "SFTJob ns/a", "reason": "Seen"})
        assert json.loads(capsys.readouterr().err)["reason"] == "Seen"
        configure("text", verbose=False)
        LOGGER.info("hello")
        assert capsys.readouterr().err.endswith("INFO kubetune.test: hello\n")
    finally:
        root.handlers[:], root.level = before, level
