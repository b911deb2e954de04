"""spec.template: what the user may add to the pods. Never the whole pod, so that kubetune's own wiring stays whole.

Small types of the core API are spelt out, so that a misspelt field is refused instead of dropped; the large ones (affinity,
security contexts, volume sources, containers) are taken as they are and checked by the API server when the pod is made.
Descriptions of core fields follow kubernetes.io/docs/reference/kubernetes-api (v1.36).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from kubetune.api.base import ApiModel

Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Text = Annotated[str, StringConstraints(max_length=32768)]
Pairs = Annotated[dict[str, Annotated[str, StringConstraints(max_length=262144)]], Field(max_length=128)]
Source = dict[str, Any]


class LocalObjectReference(ApiModel):
    """An object in the job's namespace."""

    name: Name = Field(description="Name of the object.")


class SecretReference(ApiModel):
    """A Secret in the job's namespace."""

    name: Name = Field(description="Name of the Secret.")


class Toleration(ApiModel):
    """As core/v1 Toleration."""

    key: str | None = Field(default=None, max_length=317, description="Taint key that is tolerated. Default: every key.")
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = Field(
        default=None, description="How value is compared: Exists, Equal, Lt or Gt. Default: Equal."
    )
    value: str | None = Field(default=None, max_length=63, description="Taint value that is tolerated.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Taint effect that is tolerated. Default: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="Seconds until eviction under a NoExecute taint. Default: never evicted."
    )


class VolumeMount(ApiModel):
    """As core/v1 VolumeMount."""

    name: Name = Field(description="Name of one of template.volumes.")
    mount_path: Path = Field(description="Absolute path in the trainer container. /kubetune and /dev/shm are kubetune's own.")
    sub_path: Path | None = Field(default=None, description="Path within the volume. Default: its root.")
    sub_path_expr: Path | None = Field(default=None, description="As subPath, with $(VARIABLE) of the container expanded.")
    read_only: bool | None = Field(default=None, description="Mount it read-only. Default: false.")
    recursive_read_only: Literal["Disabled", "IfPossible", "Enabled"] | None = Field(
        default=None, description="Whether mounts beneath a read-only one are read-only too. Default: Disabled."
    )
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = Field(
        default=None, description="How mounts travel between host and container. Default: None."
    )


class Volume(ApiModel):
    """As core/v1 Volume: a name and one source. Sources of retired in-tree drivers are reached by a persistentVolumeClaim."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="Name of the volume, for volumeMounts. Names that start with kubetune- are kubetune's own."
    )
    config_map: Source | None = Field(default=None, description="A ConfigMap's keys as files.")
    csi: Source | None = Field(default=None, description="An ephemeral volume of a CSI driver.")
    downward_api: Source | None = Field(default=None, alias="downwardAPI", description="Fields of the pod as files.")
    empty_dir: Source | None = Field(default=None, description="An empty directory that lives as long as the pod.")
    ephemeral: Source | None = Field(default=None, description="A claim that is made with the pod and goes with it.")
    fc: Source | None = Field(default=None, description="A Fibre Channel disk.")
    host_path: Source | None = Field(default=None, description="A directory of the node.")
    image: Source | None = Field(default=None, description="The contents of an OCI image or artifact.")
    iscsi: Source | None = Field(default=None, description="An iSCSI disk.")
    nfs: Source | None = Field(default=None, description="An NFS export.")
    persistent_volume_claim: Source | None = Field(default=None, description="A PersistentVolumeClaim of the job's namespace.")
    projected: Source | None = Field(default=None, description="Several sources in one directory.")
    secret: Source | None = Field(default=None, description="A Secret's keys as files.")


class EnvVar(ApiModel):
    """As core/v1 EnvVar."""

    name: Name = Field(
        description="Name of the variable. PET_*, MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE and KUBETUNE_* are set by kubetune, "
        "but for its settings: KUBETUNE_DATA_*, KUBETUNE_STORE_* and KUBETUNE_SVD_*."
    )
    value: Text | None = Field(default=None, description="Its value. Default: empty.")
    value_from: Source | None = Field(
        default=None, description="Where its value comes from: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef."
    )


class EnvSource(ApiModel):
    """A ConfigMap or Secret whose keys become variables."""

    name: Name = Field(description="Name of the object.")
    optional: bool | None = Field(default=None, description="Start without it if it does not exist. Default: false.")


class EnvFrom(ApiModel):
    """As core/v1 EnvFromSource."""

    prefix: Annotated[str, StringConstraints(max_length=253)] | None = Field(
        default=None, description="Put before every variable's name. Default: nothing."
    )
    config_map_ref: EnvSource | None = Field(default=None, description="The ConfigMap whose keys become variables.")
    secret_ref: EnvSource | None = Field(default=None, description="The Secret whose keys become variables.")


class Sidecar(ApiModel):
    """As core/v1 Container, run beside the trainer for as long as the pod lives."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True, frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="Name of the container. pytorch and names that start with kubetune- are kubetune's own."
    )
    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(description="Its container image.")


class PodTemplate(ApiModel):
    """What is added to the pods of every node."""

    node_selector: Pairs | None = Field(default=None, description="Labels that a node must have. Default: any node.")
    tolerations: list[Toleration] | None = Field(
        default=None, max_length=32, description="Taints that are tolerated, beside kubetune's own for lost nodes."
    )
    affinity: Source | None = Field(default=None, description="Scheduling constraints, as in a pod. Default: none.")
    volumes: list[Volume] | None = Field(
        default=None, max_length=32, description="Volumes of the pod, beside those of the pvc:// and configMap:// URIs."
    )
    volume_mounts: list[VolumeMount] | None = Field(
        default=None, max_length=32, description="Where the volumes appear in the trainer container."
    )
    env: list[EnvVar] | None = Field(default=None, max_length=128, description="Variables of the trainer container.")
    env_from: list[EnvFrom] | None = Field(
        default=None, max_length=32, description="ConfigMaps and Secrets whose keys become variables of the trainer container."
    )
    image_pull_secrets: list[LocalObjectReference] | None = Field(
        default=None, max_length=16, description="Secrets with which the images are pulled. Default: the service account's."
    )
    priority_class_name: Name | None = Field(default=None, description="PriorityClass of the pods. Default: the cluster's.")
    service_account_name: Name | None = Field(
        default=None,
        description="ServiceAccount of the pods. Progress is reported only if a RoleBinding grants it the ClusterRole "
        "kubetune-trainer. Default: kubetune-trainer, made with its binding by the operator.",
    )
    security_context: Source | None = Field(
        default=None, description="Pod security context, laid over kubetune's own (non-root, seccomp RuntimeDefault)."
    )
    labels: Pairs | None = Field(default=None, description="Further labels of the pods; kubetune.dev/ is kubetune's own.")
    annotations: Pairs | None = Field(default=None, description="Further annotations of the pods.")
    sidecars: list[Sidecar] | None = Field(
        default=None, max_length=8, description="Containers that run beside the trainer, as in a pod. Default: none."
    )
    runtime_class_name: Name | None = Field(default=None, description="RuntimeClass of the pods. Default: the cluster's.")
    scheduler_name: Name | None = Field(default=None, description="Scheduler of the pods. Default: default-scheduler.")
