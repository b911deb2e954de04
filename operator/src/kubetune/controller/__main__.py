"""`python -m kubetune.controller`: the operator as a process."""

from __future__ import annotations

import argparse

from kubetune.controller import logs
from kubetune.controller.handlers import run_operator
from kubetune.controller.operator_settings import OperatorSettings
from kubetune.controller.options import parser
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings


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
        poll_seconds=given.poll_seconds,
        quiet_seconds=given.quiet_seconds,
        backoff_base_seconds=given.backoff_base_seconds,
        backoff_cap_seconds=given.backoff_cap_seconds,
        straggler_seconds=given.straggler_seconds,
    )
    return OperatorSettings(
        controller,
        namespaces=tuple(given.namespace),
        **{name: getattr(given, name) for name in same},
    )


def main(arguments: list[str] | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    given = parser().parse_args(arguments)
    logs.configure(given.log_format, verbose=given.verbose)
    run_operator(settings(given))


if __name__ == "__main__":
    main()
