"""What the operator tells of jobs by OpenTelemetry, received and shown."""
