"""Where a URI of the user lies in the pod, and how a directory of the pod is named to the user."""

from __future__ import annotations

from kubetune.api.uri import parse_uri
from kubetune.render.plan import RenderSettings


def claim_dir(claim: str, settings: RenderSettings) -> str:
    """Where a PersistentVolumeClaim is mounted."""
    return f"{settings.volume_root.rstrip('/')}/{claim}"


def configmap_dir(name: str, settings: RenderSettings) -> str:
    """Where a ConfigMap is mounted: one file a key."""
    return f"{settings.configmap_root.rstrip('/')}/{name}"


def path_in_pod(uri: str, settings: RenderSettings) -> str:
    """The absolute path that the trainer opens; hf:// is handed on as it is, for the trainer fetches that itself.

    Raises:
        ValueError: s3://, which is not mounted.

    """
    parsed = parse_uri(uri)
    match parsed.scheme:
        case "pvc":
            return f"{claim_dir(parsed.claim, settings)}/{parsed.path}".rstrip("/")
        case "configMap":
            return f"{configmap_dir(parsed.name, settings)}/{parsed.key}"
        case "path":
            return parsed.path
        case "hf":
            return uri
        case "s3":
            raise ValueError(f"{uri!r} cannot be mounted; use pvc://claim/path, hf:// or an absolute path in the pod")


def uri_below(uri: str, *steps: str) -> str:
    """The URI of something beneath a directory: for "pvc://runs/" and the steps "a" and "b" it is pvc://runs/a/b."""
    return "/".join((uri.rstrip("/"), *steps))
