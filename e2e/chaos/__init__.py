"""The operator under faults, and a verdict over everything that was written meanwhile."""
