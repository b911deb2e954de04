"""The reconcile: observe, decide, apply, one status write."""
