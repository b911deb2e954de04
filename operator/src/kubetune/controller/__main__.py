"""`python -m kubetune.controller`: the operator as a process."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import yaml

from kubetune.api.defaults import NONE, JobDefaults, load_defaults
from kubetune.api.errors import InvalidJob
from kubetune.controller.operator_settings import IMAGE_ENV, OperatorSettings
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings


def parser() -> argparse.ArgumentParser:
    """Every option has a default that fits a cluster-wide installation, but for the image."""
    told = "Where OTEL_EXPORTER_OTLP_ENDPOINT is set, each job's trace is sent there (docs/observability.md)."
    options = argparse.ArgumentParser(prog="python -m kubetune.controller", description="Runs the kubetune operator.", epilog=told)
    image = os.environ.get(IMAGE_ENV)
    add = options.add_argument
    add("--image", default=image, required=image is None, help=f"trainer image of jobs without spec.image ({IMAGE_ENV})")
    defaults = "YAML of image, imagePullPolicy, queueName and template, as in a job's spec, for jobs that leave them out"
    add("--job-defaults", type=job_defaults, default=NONE, metavar="FILE", help=f"{defaults} (docs/helm.md)")
    add("--namespace", action="append", default=[], help="where to work, repeatable; default: everywhere")
    add("--selector", default="", help="labels of the jobs to work on, for instance team=a,tier!=test; default: all jobs")
    add("--workers", type=int, default=8, help="jobs reconciled at the same time (8)")
    for name, default, meaning in SECONDS:
        add(f"--{name}-seconds", type=seconds, default=default, help=f"{meaning} ({default:g})")
    elect = argparse.BooleanOptionalAction
    add("--leader-elect", action=elect, default=True, help="of several replicas only the holder of a Lease acts (on)")
    add("--lease-namespace", help="where that Lease lies; default: the pod's own namespace, else default")
    add("--identity", help="this replica's name in the Lease; default: the host's; a random part is added")
    add("--address", default=OperatorSettings.address, help="where to serve /metrics, /healthz and /readyz (0.0.0.0)")
    add("--port", type=int, help="their port, 0 for none; default: 8080 if it is free")
    add("--contact-seconds", type=float, default=120.0, help="/healthz fails without an answer of the API server for so long (120)")
    add("--log-format", choices=["text", "json"], default="text", help="json: one object a line, with job, attempt and reason")
    add("--verbose", action="store_true", help="log what kopf does, too")
    return options


SECONDS = (
    ("sweep", 300.0, "how often every job is looked at regardless"),
    ("poll", 30.0, "how often a live attempt is looked at when nothing is heard of it"),
    ("backoff-base", 10.0, "the wait before the first retry; with every further failure in a row it doubles"),
    ("backoff-cap", 300.0, "no retry waits longer than this"),
    ("quiet", 120.0, "how long the first attempt may wait for pods before the status speaks of it"),
    ("missing", 60.0, "how long pods may be missing before the cluster is asked why"),
    ("straggler", 30.0, "how long after success the other nodes' pods may take to end by themselves"),
)


def seconds(text: str) -> float:
    """More than none: a wait of 0 would ask the API server without a pause. argparse says which option it was."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def job_defaults(file: str) -> JobDefaults:
    """Of a file. argparse says which option it was."""
    try:
        return load_defaults(Path(file).read_text())
    except InvalidJob as error:
        raise argparse.ArgumentTypeError("\n  ".join([f"{file}:", *map(str, error.errors)])) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read ({error}); give a text file of YAML") from error


def settings(given: argparse.Namespace) -> OperatorSettings:
    """What the options say."""
    same = (
        "workers",
        "sweep_seconds",
        "selector",
        "leader_elect",
        "lease_namespace",
        "identity",
        "address",
        "port",
        "contact_seconds",
    )
    controller = ControllerSettings(
        render=RenderSettings(image=given.image),
        job_defaults=given.job_defaults,
        poll_seconds=given.poll_seconds,
        quiet_seconds=given.quiet_seconds,
        backoff_base_seconds=given.backoff_base_seconds,
        backoff_cap_seconds=given.backoff_cap_seconds,
        missing_seconds=given.missing_seconds,
        straggler_seconds=given.straggler_seconds,
        hold_retries=True,
    )
    return OperatorSettings(
        controller,
        namespaces=tuple(given.namespace),
        **{name: getattr(given, name) for name in same},
    )


def main(arguments: list[str] | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    given = parser().parse_args(arguments)
    from kubetune.controller import logs  # kopf takes a second: who only asks for the options does without
    from kubetune.controller.process import run_operator

    logs.configure(given.log_format, verbose=given.verbose)
    run_operator(settings(given))


if __name__ == "__main__":
    main()
