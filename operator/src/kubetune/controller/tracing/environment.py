"""Whether traces are wanted, by OpenTelemetry's standard variables, and what of them cannot be. Pure.

What is not read here (headers, certificates, timeouts, resource attributes, the batch's size) the SDK reads by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
SCHEMES = ("http://", "https://")


def endpoint(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that says where traces are to go, and what it says; None: they are off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    return next(((name, environment[name]) for name in ENDPOINTS if environment.get(name)), None)


def problem(environment: Mapping[str, str]) -> str | None:
    """Why no traces can be sent though they are wanted, and what to do."""
    where = endpoint(environment)
    if where and not where[1].startswith(SCHEMES):
        return f"{where[0]} is {shown(where[1])!r}, which is no URL; name the collector's OTLP over HTTP, such as http://collector:4318"
    protocol = next(((name, environment[name]) for name in PROTOCOLS if environment.get(name)), None)
    if where and protocol and protocol[1] != HTTP:
        return (
            f"{protocol[0]} is {protocol[1]!r}, and kubetune speaks {HTTP} alone; leave it out, and name the collector's port for "
            "HTTP (4318 by default)"
        )
    return None


def shown(url: str) -> str:
    """Without a password, should somebody have put one into it."""
    return re.sub(r"(//)?[^/@]*@", r"\1", url)
