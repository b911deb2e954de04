"""Kubernetes' and Kubeflow's models with one configuration for all of them.

Each object would otherwise make a `Configuration` of its own (kubernetes 35), which sets up loggers: in a process that has many
of them half of what the operator did for a job.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeflow.training.models import (
        KubeflowOrgV1PyTorchJob,
        KubeflowOrgV1PyTorchJobSpec,
        KubeflowOrgV1ReplicaSpec,
        KubeflowOrgV1RunPolicy,
    )
    from kubernetes.client import (
        V1Capabilities,
        V1ConfigMapVolumeSource,
        V1Container,
        V1ContainerPort,
        V1EmptyDirVolumeSource,
        V1EnvFromSource,
        V1EnvVar,
        V1ObjectMeta,
        V1OwnerReference,
        V1PersistentVolumeClaimVolumeSource,
        V1PodSpec,
        V1PodTemplateSpec,
        V1SecretEnvSource,
        V1SecurityContext,
        V1Toleration,
        V1Volume,
        V1VolumeMount,
    )
else:
    from kubeflow.training import models as kubeflow
    from kubernetes import client as kubernetes

    SHARED = kubernetes.Configuration()

    def shared(model: type) -> partial:
        return partial(model, local_vars_configuration=SHARED)

    KubeflowOrgV1PyTorchJob = shared(kubeflow.KubeflowOrgV1PyTorchJob)
    KubeflowOrgV1PyTorchJobSpec = shared(kubeflow.KubeflowOrgV1PyTorchJobSpec)
    KubeflowOrgV1ReplicaSpec = shared(kubeflow.KubeflowOrgV1ReplicaSpec)
    KubeflowOrgV1RunPolicy = shared(kubeflow.KubeflowOrgV1RunPolicy)
    V1Capabilities = shared(kubernetes.V1Capabilities)
    V1ConfigMapVolumeSource = shared(kubernetes.V1ConfigMapVolumeSource)
    V1Container = shared(kubernetes.V1Container)
    V1ContainerPort = shared(kubernetes.V1ContainerPort)
    V1EmptyDirVolumeSource = shared(kubernetes.V1EmptyDirVolumeSource)
    V1EnvFromSource = shared(kubernetes.V1EnvFromSource)
    V1EnvVar = shared(kubernetes.V1EnvVar)
    V1ObjectMeta = shared(kubernetes.V1ObjectMeta)
    V1OwnerReference = shared(kubernetes.V1OwnerReference)
    V1PersistentVolumeClaimVolumeSource = shared(kubernetes.V1PersistentVolumeClaimVolumeSource)
    V1PodSpec = shared(kubernetes.V1PodSpec)
    V1PodTemplateSpec = shared(kubernetes.V1PodTemplateSpec)
    V1SecretEnvSource = shared(kubernetes.V1SecretEnvSource)
    V1SecurityContext = shared(kubernetes.V1SecurityContext)
    V1Toleration = shared(kubernetes.V1Toleration)
    V1Volume = shared(kubernetes.V1Volume)
    V1VolumeMount = shared(kubernetes.V1VolumeMount)

__all__ = [
    "KubeflowOrgV1PyTorchJob",
    "KubeflowOrgV1PyTorchJobSpec",
    "KubeflowOrgV1ReplicaSpec",
    "KubeflowOrgV1RunPolicy",
    "V1Capabilities",
    "V1ConfigMapVolumeSource",
    "V1Container",
    "V1ContainerPort",
    "V1EmptyDirVolumeSource",
    "V1EnvFromSource",
    "V1EnvVar",
    "V1ObjectMeta",
    "V1OwnerReference",
    "V1PersistentVolumeClaimVolumeSource",
    "V1PodSpec",
    "V1PodTemplateSpec",
    "V1SecretEnvSource",
    "V1SecurityContext",
    "V1Toleration",
    "V1Volume",
    "V1VolumeMount",
]
