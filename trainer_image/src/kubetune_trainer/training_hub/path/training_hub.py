# noqa: INP001 - a directory for PYTHONPATH, no package
"""`import training_hub` finds this, and so ours, where this directory is on the path."""

from kubetune_trainer.training_hub import *  # noqa: F403 - the whole of its __all__
from kubetune_trainer.training_hub import __getattr__ as __getattr__  # noqa: PLC0414 - what is not in __all__
