"""What a job needs: memory of GPUs and nodes, disk, time. Pure: a job and its model's shape in, figures with their sources out."""

from kubetune.estimate.figures import Figure
from kubetune.estimate.plan import Assumptions, Plan
from kubetune.estimate.result import Estimate, estimate
from kubetune.estimate.shape import ModelShape, Tensor, UnknownModelError, shape_of

__all__ = ["Assumptions", "Estimate", "Figure", "ModelShape", "Plan", "Tensor", "UnknownModelError", "estimate", "shape_of"]
