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
    """The absolute path that the trainer opens; hf:// and s3:// are handed on as they are, for the trainer fetches those itself."""
    parsed = parse_uri(uri)
    match parsed.scheme:
        case "pvc":
            return f"{claim_dir(parsed.claim, settings)}/{parsed.path}".rstrip("/")
        case "configMap":
            return f"{configmap_dir(parsed.name, settings)}/{parsed.key}"
        case "path":
            return parsed.path
        case "hf" | "s3":
            return uri


def output_dir(uri: str, subdirectory: str, settings: RenderSettings) -> str:
    """Where a job writes in the pod: beneath its output, or on the pod's own disk where that is an object store."""
    if parse_uri(uri).scheme == "s3":
        return f"{settings.output_root.rstrip('/')}/{subdirectory}"
    return path_in_pod(uri_below(uri, subdirectory), settings)


def uri_below(uri: str, *steps: str) -> str:
    """The URI of something beneath a directory: for "pvc://runs/" and the steps "a" and "b" it is pvc://runs/a/b."""
    return "/".join((uri.rstrip("/"), *steps))
