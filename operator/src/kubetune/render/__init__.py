"""From a job to a PyTorchJob: pure."""
