# noqa: INP001 - a directory for PYTHONPATH, no package
"""`import training_hub` finds this, and so ours, where this directory is on the path."""

from kubetune_trainer.training_hub import *  # noqa: F403 - the whole of its __all__
