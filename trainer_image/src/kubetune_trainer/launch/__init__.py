"""Starts a backend's worker script under torchrun: on GPU or CPU, with plug-ins, in processes that cannot outlive the caller."""
