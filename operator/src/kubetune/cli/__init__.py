"""The command line."""

import sys

PLUGIN = "kubectl-kubetune"
"""Under this name on PATH kubectl finds it: `kubectl kubetune`."""


def main() -> None:
    """Runs `kubetune`, by whichever of its names it was called."""
    from kubetune.cli.app import kubetune

    kubetune(prog_name="kubectl kubetune" if sys.argv[0].endswith(PLUGIN) else "kubetune")


def complete_for_kubectl() -> None:
    """Runs `kubectl_complete-kubetune`, which kubectl calls for the words that it completes."""
    from kubetune.cli.completion import for_kubectl

    sys.stdout.write(for_kubectl(sys.argv[1:]))
