"""Object stores: models and data sets that come from s3://, and checkpoints that go there (docs/storage.md)."""
