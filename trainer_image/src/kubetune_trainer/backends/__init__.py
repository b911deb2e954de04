"""The training libraries, one class each."""
