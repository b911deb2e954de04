"""Traces of jobs, off by default: what a job's trace is made of (pure), and the edge that exports it."""
