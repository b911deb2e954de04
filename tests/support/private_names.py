"""Do the private names that the plug-ins lean on still exist?"""

from __future__ import annotations

from functools import reduce
from importlib import import_module


def exists(name: str) -> bool:
    """`name`: "package.module:attribute.attribute"."""
    module, _, path = name.partition(":")
    try:
        reduce(getattr, path.split("."), import_module(module))
    except AttributeError:
        return False
    return True
