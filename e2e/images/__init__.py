"""The images of the project and what they stand on, built on this machine: no registry, no Docker engine."""
