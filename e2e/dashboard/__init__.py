"""Every query of dashboard and alerts, asked of a real Prometheus that scrapes a real operator: `make dashboard-check`."""
