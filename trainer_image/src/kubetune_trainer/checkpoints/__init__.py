"""What proves a checkpoint: reading it back, and a manifest written last."""

from kubetune_trainer.checkpoints.manifest import Manifest, check_manifest, read_manifest, write_manifest
from kubetune_trainer.checkpoints.verify import Verifier, verify_hf
from kubetune_trainer.checkpoints.weights import has_weights

__all__ = ["Manifest", "Verifier", "check_manifest", "has_weights", "read_manifest", "verify_hf", "write_manifest"]
