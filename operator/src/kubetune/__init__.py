"""kubetune: fine-tuning jobs on Kubernetes."""

__version__: str


def __getattr__(name: str) -> str:
    """The version, looked up where it is asked for: importlib.metadata costs `kubetune --help` 50 ms."""
    if name == "__version__":
        from importlib.metadata import version

        return version("kubetune")
    raise AttributeError(name)
