"""Rules about spec.template: what is kubetune's own stays kubetune's, and names lead somewhere."""

from __future__ import annotations

import re
from collections import Counter

from kubetune.api.rule import Document, Finding, Rule, block, items

MOUNT_PATH = r"^(/[^/:\x00-\x20\x7f]+)+/?$"
OWN_ENV = r"^(KUBETUNE_.*|PET_.*|MASTER_ADDR|MASTER_PORT|RANK|WORLD_SIZE)$"
SETTING_ENV = r"^KUBETUNE_(DATA|STORE|SVD)_[A-Z_]+$"  # those of OWN_ENV that are the user's: docs/data.md, storage.md, library.md
OWN_LABEL = r"^(([-a-z0-9]+\.)*kubetune\.dev/.*|training\.kubeflow\.org/.*|app\.kubernetes\.io/managed-by)$"
OWN_MOUNT = r"^(/kubetune|/dev/shm)(/.*)?$"
OWN_CONTAINER = r"^(pytorch|kubetune-.*|init-pytorch)$"

TEMPLATE = "!has(self.template)"


def volume_names_are_free(doc: Document) -> list[Finding]:
    return [
        Finding(f"{path}.name", name, f"{name!r} is kept for kubetune's own volumes")
        for path, volume in items(doc, "spec.template.volumes")
        if isinstance(name := volume.get("name"), str) and name.startswith("kubetune-")
    ]


def mount_paths_are_well_formed(doc: Document) -> list[Finding]:
    return [
        Finding(f"{path}.mountPath", where, f"nothing can be mounted at {where!r}")
        for path, where in mount_paths(doc)
        if not re.fullmatch(MOUNT_PATH, where) or ".." in where.split("/")
    ]


def mount_paths_are_free(doc: Document) -> list[Finding]:
    return [
        Finding(f"{path}.mountPath", where, f"{where!r} is kubetune's own")
        for path, where in mount_paths(doc)
        if re.fullmatch(OWN_MOUNT, where)
    ]


def mount_paths(doc: Document) -> list[tuple[str, str]]:
    mounts = items(doc, "spec.template.volumeMounts")
    return [(path, where) for path, mount in mounts if isinstance(where := mount.get("mountPath"), str)]


def mounts_have_a_volume(doc: Document) -> list[Finding]:
    known = {volume.get("name") for _, volume in items(doc, "spec.template.volumes")}
    return [
        Finding(f"{path}.name", name, f"{name!r} is none of template.volumes")
        for path, mount in items(doc, "spec.template.volumeMounts")
        if isinstance(name := mount.get("name"), str) and name not in known
    ]


def env_is_free(doc: Document) -> list[Finding]:
    return [
        Finding(f"{path}.name", name, f"{name} is set by kubetune")
        for path, variable in items(doc, "spec.template.env")
        if isinstance(name := variable.get("name"), str) and re.fullmatch(OWN_ENV, name) and not re.fullmatch(SETTING_ENV, name)
    ]


def env_has_one_source(doc: Document) -> list[Finding]:
    return [
        Finding(path, variable.get("name"))
        for path, variable in items(doc, "spec.template.env")
        if variable.get("value") is not None and variable.get("valueFrom") is not None
    ]


def labels_are_free(doc: Document) -> list[Finding]:
    return own_keys(doc, "spec.template.labels")


def annotations_are_free(doc: Document) -> list[Finding]:
    return own_keys(doc, "spec.template.annotations")


def own_keys(doc: Document, path: str) -> list[Finding]:
    return [Finding(path, key, f"{key} is kubetune's own") for key in block(doc, path) if re.fullmatch(OWN_LABEL, str(key))]


def sidecar_names_are_free(doc: Document) -> list[Finding]:
    return [
        Finding(f"{path}.name", name, f"{name!r} is kept for kubetune's own containers")
        for path, sidecar in items(doc, "spec.template.sidecars")
        if isinstance(name := sidecar.get("name"), str) and re.fullmatch(OWN_CONTAINER, name)
    ]


LIST_KEYS = {"volumes": "name", "volumeMounts": "mountPath", "env": "name", "imagePullSecrets": "name", "sidecars": "name"}
"""Lists of spec.template that are maps to the API server (x-kubernetes-list-type), by their keys."""


def keys_are_unique(doc: Document) -> list[Finding]:
    """The twin of x-kubernetes-list-type: map, which the CRD declares for the same lists."""
    found = []
    for name, key in LIST_KEYS.items():
        path = f"spec.template.{name}"
        counts = Counter(value for _, item in items(doc, path) if isinstance(value := item.get(key), str))
        found += [Finding(path, value, f"{key} {value!r} appears {n} times") for value, n in counts.items() if n > 1]
    return found


TEMPLATE_RULES = (
    Rule(
        name="volume-names-are-free",
        field="spec.template.volumes",
        message="names that start with kubetune- are kept for kubetune's own volumes",
        remedy="use another name",
        find=volume_names_are_free,
        cel=f"{TEMPLATE} || !has(self.template.volumes) || self.template.volumes.all(v, !v.name.startsWith('kubetune-'))",
    ),
    Rule(
        name="mount-paths-are-well-formed",
        field="spec.template.volumeMounts",
        message="nothing can be mounted at one of the mountPaths",
        remedy="write an absolute path, without ':' and '..'",
        find=mount_paths_are_well_formed,
        cel=f"{TEMPLATE} || !has(self.template.volumeMounts) || self.template.volumeMounts.all(m,"
        rf" m.mountPath.matches(r'{MOUNT_PATH}') && !m.mountPath.matches(r'(^|/)\.\.(/|$)'))",
    ),
    Rule(
        name="mount-paths-are-free",
        field="spec.template.volumeMounts",
        message="/kubetune and /dev/shm are kubetune's own",
        remedy="mount elsewhere",
        find=mount_paths_are_free,
        cel=f"{TEMPLATE} || !has(self.template.volumeMounts) || self.template.volumeMounts.all(m,"
        f" !m.mountPath.matches(r'{OWN_MOUNT}'))",
    ),
    Rule(
        name="mounts-have-a-volume",
        field="spec.template.volumeMounts",
        message="a mount's name is none of template.volumes",
        remedy="add the volume or correct the name",
        find=mounts_have_a_volume,
        cel=f"{TEMPLATE} || !has(self.template.volumeMounts) || self.template.volumeMounts.all(m,"
        " has(self.template.volumes) && self.template.volumes.exists(v, v.name == m.name))",
    ),
    Rule(
        name="env-is-free",
        field="spec.template.env",
        message="KUBETUNE_*, PET_*, MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE are set by kubetune",
        remedy="leave it out; settings are KUBETUNE_DATA_*, KUBETUNE_STORE_* and KUBETUNE_SVD_*",
        find=env_is_free,
        cel=f"{TEMPLATE} || !has(self.template.env) || self.template.env.all(e,"
        f" !e.name.matches(r'{OWN_ENV}') || e.name.matches(r'{SETTING_ENV}'))",
    ),
    Rule(
        name="env-has-one-source",
        field="spec.template.env",
        message="value and valueFrom are both set: two sources of one thing",
        remedy="leave out one of them",
        find=env_has_one_source,
        cel=f"{TEMPLATE} || !has(self.template.env) || self.template.env.all(e, !has(e.value) || !has(e.valueFrom))",
    ),
    Rule(
        name="labels-are-free",
        field="spec.template.labels",
        message="kubetune.dev/, training.kubeflow.org/ and app.kubernetes.io/managed-by are kubetune's own",
        remedy="use another key",
        find=labels_are_free,
        cel=f"{TEMPLATE} || !has(self.template.labels) || self.template.labels.all(k, !k.matches(r'{OWN_LABEL}'))",
    ),
    Rule(
        name="annotations-are-free",
        field="spec.template.annotations",
        message="kubetune.dev/, training.kubeflow.org/ and app.kubernetes.io/managed-by are kubetune's own",
        remedy="use another key",
        find=annotations_are_free,
        cel=f"{TEMPLATE} || !has(self.template.annotations) || self.template.annotations.all(k, !k.matches(r'{OWN_LABEL}'))",
    ),
    Rule(
        name="sidecar-names-are-free",
        field="spec.template.sidecars",
        message="pytorch, init-pytorch and names that start with kubetune- are kept for kubetune's own containers",
        remedy="use another name",
        find=sidecar_names_are_free,
        cel=f"{TEMPLATE} || !has(self.template.sidecars) || self.template.sidecars.all(c, !c.name.matches(r'{OWN_CONTAINER}'))",
    ),
)
