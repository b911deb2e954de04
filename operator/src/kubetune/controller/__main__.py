"""`python -m kubetune.controller`: the operator as a process."""

from __future__ import annotations

import argparse
import math
import os

import kopf

from kubetune.controller.handlers import run_operator
from kubetune.controller.operate import IMAGE_ENV, OperatorSettings
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings


def parser() -> argparse.ArgumentParser:
    """Every option has a default that fits a cluster-wide installation, but for the image."""
    options = argparse.ArgumentParser(prog="python -m kubetune.controller", description="Runs the kubetune operator.")
    image = os.environ.get(IMAGE_ENV)
    options.add_argument(
        "--image", default=image, required=image is None, help=f"trainer image of jobs without spec.image ({IMAGE_ENV})"
    )
    options.add_argument("--namespace", action="append", default=[], help="where to work, repeatable; default: everywhere")
    options.add_argument("--workers", type=int, default=8, help="jobs reconciled at the same time (8)")
    for name, default, meaning in SECONDS:
        options.add_argument(f"--{name}-seconds", type=seconds, default=default, help=f"{meaning} ({default:g})")
    options.add_argument("--liveness", help="URL at which liveness probes are answered, for instance http://0.0.0.0:8080/healthz")
    options.add_argument("--verbose", action="store_true", help="log what kopf does, too")
    return options


SECONDS = (
    ("sweep", 300.0, "how often every job is looked at regardless"),
    ("poll", 30.0, "how often a live attempt is looked at when nothing is heard of it"),
    ("backoff-base", 10.0, "the wait before the first retry; with every further failure in a row it doubles"),
    ("backoff-cap", 300.0, "no retry waits longer than this"),
    ("straggler", 30.0, "how long after success the other nodes' pods may take to end by themselves"),
)


def seconds(text: str) -> float:
    """More than none: a wait of 0 would ask the API server without a pause. argparse says which option it was."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def settings(given: argparse.Namespace) -> OperatorSettings:
    """What the options say."""
    controller = ControllerSettings(
        render=RenderSettings(image=given.image),
        poll_seconds=given.poll_seconds,
        backoff_base_seconds=given.backoff_base_seconds,
        backoff_cap_seconds=given.backoff_cap_seconds,
        straggler_seconds=given.straggler_seconds,
    )
    return OperatorSettings(controller, tuple(given.namespace), given.workers, given.sweep_seconds)


def main(arguments: list[str] | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    given = parser().parse_args(arguments)
    kopf.configure(verbose=given.verbose)
    run_operator(settings(given), liveness=given.liveness)


if __name__ == "__main__":
    main()
