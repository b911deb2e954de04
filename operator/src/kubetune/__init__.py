"""kubetune: fine-tuning jobs on Kubernetes.

`from kubetune import Client, OSFTJob`: names are looked up when they are first asked for, so that `import kubetune` is cheap. So is
the version: importlib.metadata alone would cost `kubetune --help` 50 ms.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetune.api import OSFTJob, SFTJob
    from kubetune.client import AsyncClient, Client

    __version__: str

__all__ = ["AsyncClient", "Client", "OSFTJob", "SFTJob", "__version__"]

HOMES = {"AsyncClient": "kubetune.client", "Client": "kubetune.client", "OSFTJob": "kubetune.api", "SFTJob": "kubetune.api"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("kubetune")
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
