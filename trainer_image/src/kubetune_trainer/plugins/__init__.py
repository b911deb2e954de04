"""Repairs of the backends, installed in each worker before its script runs; each leans on pinned private names."""
