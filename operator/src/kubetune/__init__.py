"""kubetune: fine-tuning jobs on Kubernetes."""

from importlib.metadata import version

__version__ = version("kubetune")
