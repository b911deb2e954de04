"""Pictures of the dashboard: `make dashboard-pictures`, and then look at them (docs/observability.md)."""
