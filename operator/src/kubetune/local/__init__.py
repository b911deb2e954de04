"""The embedded cluster: the operator's reconcile without Kubernetes, pods as local processes.

store: objects. training_operator: PyTorchJob -> pods, pods -> conditions. pods, processes, supervisor: a pod as processes.
cluster: all of these behind kubetune.cluster.Cluster. takeup: what an earlier run left. loop: drives reconcile.
"""
