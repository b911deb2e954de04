"""Repairs of the backends, installed in each worker before its script runs. Each module has install() and PRIVATE_NAMES."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

PLUGINS = (
    "no_own_trackers",
    "tied_embeddings",
    "computed_buffers",
    "even_minibatches",
    "loader_workers",
    "periodic_save_sft",
    "periodic_save_osft",
    "svd_cache",
    "validation_loss",
    "written_metrics",
)


def install(chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Installs each named plug-in with its arguments, in the order of PLUGINS: most import their backend, the first says how.

    Raises:
        ValueError: there is no plug-in of that name.

    """
    for name in chosen:
        if name not in PLUGINS:
            raise ValueError(f"no plug-in named {name!r}; there are {', '.join(PLUGINS)}")
    for name in sorted(chosen, key=PLUGINS.index):
        importlib.import_module(f"{__name__}.{name}").install(**chosen[name])
