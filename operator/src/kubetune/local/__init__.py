"""The embedded cluster: the same reconcile, pods as local processes."""
