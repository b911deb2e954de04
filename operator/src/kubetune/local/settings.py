"""How the controller is set up on this machine."""

from __future__ import annotations

from pathlib import Path

from kubetune.controller.settings import ControllerSettings
from kubetune.local.state import StateDir
from kubetune.render import RenderSettings


def render_settings(state: StateDir) -> RenderSettings:
    """Claims and ConfigMaps lie in the state directory; HOME stays the user's own, where the Hub's cache and token are."""
    return RenderSettings(
        image="local",  # no image is pulled: pods run in kubetune's own Python environment
        volume_root=str(state.volumes),
        configmap_root=str(state.configmaps),
        output_root=str(state.outputs),
        scratch=str(Path.home()),
    )


def controller_settings(state: StateDir) -> ControllerSettings:
    """Shorter waits than a cluster's: nothing here is shared with others, and somebody watches."""
    return ControllerSettings(
        render=render_settings(state), backoff_base_seconds=1.0, backoff_cap_seconds=60.0, poll_seconds=5.0, quiet_seconds=0.0
    )
