"""`python -m kubetune.controller`: the operator as a process."""

from __future__ import annotations

import argparse
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
    options.add_argument("--sweep-seconds", type=float, default=300.0, help="how often every job is looked at regardless (300)")
    options.add_argument(
        "--poll-seconds", type=float, default=30.0, help="how often a live attempt is looked at when nothing is heard of it (30)"
    )
    options.add_argument(
        "--backoff-base-seconds",
        type=float,
        default=10.0,
        help="wait before the first retry; each further one waits twice as long (10)",
    )
    options.add_argument("--backoff-cap-seconds", type=float, default=300.0, help="no retry waits longer than this (300)")
    options.add_argument("--liveness", help="URL at which liveness probes are answered, for instance http://0.0.0.0:8080/healthz")
    options.add_argument("--verbose", action="store_true", help="log what kopf does, too")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    given = parser().parse_args(arguments)
    kopf.configure(verbose=given.verbose)
    controller = ControllerSettings(
        render=RenderSettings(image=given.image),
        poll_seconds=given.poll_seconds,
        backoff_base_seconds=given.backoff_base_seconds,
        backoff_cap_seconds=given.backoff_cap_seconds,
    )
    run_operator(OperatorSettings(controller, tuple(given.namespace), given.workers, given.sweep_seconds), liveness=given.liveness)


if __name__ == "__main__":
    main()
