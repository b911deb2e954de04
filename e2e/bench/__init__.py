"""What a burst of jobs and a full cluster at rest cost, beside the same work done by Kubeflow's own operators (`make bench`)."""
