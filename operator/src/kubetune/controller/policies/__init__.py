"""The reasons to decide, one concern a module. Each policy is pure: (Observation, settings, now) -> Decision | None."""
