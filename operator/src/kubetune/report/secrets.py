"""A spec is shown whole, but a page is passed on: what looks like a secret is left out of it. Pure."""

from __future__ import annotations

import re
from typing import Any

SECRET = re.compile(r"token|secret|passw|credential|api_?key|access_?key|private_?key", re.IGNORECASE)
LEFT_OUT = "(left out)"


def without_secrets(value: Any) -> Any:
    """The values of environment variables that are named like one, and passwords in URLs. References to a Secret stay."""
    match value:
        case {"name": str(name), "value": _} if SECRET.search(name):
            return {**value, "value": LEFT_OUT}
        case dict():
            return {key: without_secrets(each) for key, each in value.items()}
        case list() | tuple():
            return [without_secrets(each) for each in value]
        case str():
            return re.sub(r"(?<=://)[^/@\s]+@", f"{LEFT_OUT}@", value)
        case _:
            return value
