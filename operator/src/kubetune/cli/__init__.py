"""The command line."""


def main() -> None:
    """Runs `kubetune`."""
    from kubetune.cli.app import kubetune

    kubetune(prog_name="kubetune")
