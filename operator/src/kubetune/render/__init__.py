"""Pure rendering: a job and an attempt become a PyTorchJob. The command line, the operator and the embedded cluster share it."""

from kubetune.render.plan import AttemptPlan, RenderSettings
from kubetune.render.pytorchjob import render_pytorchjob, to_yaml

__all__ = ["AttemptPlan", "RenderSettings", "render_pytorchjob", "to_yaml"]
