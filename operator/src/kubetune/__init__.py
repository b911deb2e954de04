"""kubetune: fine-tuning jobs on Kubernetes.

`from kubetune import Client, OSFTJob`: names are imported when they are first asked for, so that `import kubetune` is cheap.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetune.api import OSFTJob, SFTJob
    from kubetune.client import AsyncClient, Client

__version__ = version("kubetune")

__all__ = ["AsyncClient", "Client", "OSFTJob", "SFTJob", "__version__"]

HOMES = {"AsyncClient": "kubetune.client", "Client": "kubetune.client", "OSFTJob": "kubetune.api", "SFTJob": "kubetune.api"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
