"""A real Kubernetes control plane on loopback, with the real Kubeflow training operator, Kueue and kwok's fake nodes."""
