"""Real nodes: containerd, kubelet and kube-proxy, each node in namespaces of its own beside the real control plane."""
