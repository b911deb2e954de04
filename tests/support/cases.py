"""One table of accepted and rejected jobs: run against pydantic in the unit tests, and against a real API server's CRDs.

A case is an edit of the smallest job of its kind. A rejected one names the field that is complained of and a fragment of what
is said; the API server must reject it, too, and name the field (indices and keys of maps left out).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

ABSENT: Any = object()
"""As a value in an edit: the field is taken out."""

SMALLEST: dict[str, dict[str, Any]] = {
    "SFTJob": {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "SFTJob",
        "metadata": {"name": "teach"},
        "spec": {
            "model": {"uri": "hf://org/name"},
            "dataset": {"uri": "pvc://data/train.jsonl"},
            "output": {"uri": "pvc://runs"},
        },
    },
    "OSFTJob": {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "OSFTJob",
        "metadata": {"name": "teach"},
        "spec": {
            "model": {"uri": "hf://org/name@main"},
            "dataset": {"uri": "pvc://data/train.jsonl"},
            "output": {"uri": "pvc://runs"},
            "training": {
                "unfreezeRankRatio": 0.3,
                "effectiveBatchSize": 128,
                "maxTokensPerGpu": 8192,
                "maxSeqLen": 4096,
                "learningRate": 2.0e-5,
            },
        },
    },
}


@dataclass(frozen=True)
class Case:
    """`edit` maps dotted paths to values. `where` is the field that is complained of; None: the job is accepted."""

    name: str
    kind: str
    edit: dict[str, Any] = field(default_factory=dict)
    where: str | None = None
    says: str = ""

    @property
    def accepted(self) -> bool:
        return self.where is None

    def document(self) -> dict[str, Any]:
        return edited(SMALLEST[self.kind], self.edit)


def edited(base: dict[str, Any], edit: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with the values at those paths; maps on the way are made where there are none."""
    document = copy.deepcopy(base)
    for path, value in edit.items():
        *parents, last = path.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ABSENT:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return document


def sft(name: str, edit: dict[str, Any] | None = None, where: str | None = None, says: str = "") -> Case:
    return Case(f"sft-{name}", "SFTJob", edit or {}, where, says)


def osft(name: str, edit: dict[str, Any] | None = None, where: str | None = None, says: str = "") -> Case:
    return Case(f"osft-{name}", "OSFTJob", edit or {}, where, says)


T = "spec.training."
MOUNTED = {
    "spec.template.volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "runs"}}],
    "spec.template.volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
}

WHOLE_JOB = {
    "metadata.labels": {"team": "llm"},
    "spec.backend": "mini-trainer",
    "spec.model.secretRef": {"name": "hub"},
    "spec.dataset.format": "messages",
    "spec.dataset.secretRef": {"name": "hub"},
    "spec.output.secretRef": {"name": "hub"},
    T + "numEpochs": 3,
    T + "warmupSteps": 100,
    T + "seed": 7,
    T + "useLiger": True,
    T + "osftMemoryEfficientInit": True,
    T + "targetPatterns": ["q_proj", "v_proj"],
    T + "lrScheduler": "cosine_with_min_lr",
    T + "lrSchedulerKwargs": {"min_lr_rate": 0.1, "num_cycles": 1, "warmup_decay_type": "linear"},
    T + "unmaskMessages": False,
    T + "useProcessedDataset": False,
    T + "checkpointAtEpoch": True,
    T + "saveFinalCheckpoint": True,
    "spec.nodes": 4,
    "spec.procsPerNode": 8,
    "spec.device": "gpu",
    "spec.resources": {
        "limits": {"nvidia.com/gpu": 8, "memory": "512Gi", "cpu": "64"},
        "requests": {"cpu": 32, "memory": "256Gi", "ephemeral-storage": "1.5Ti"},
    },
    "spec.template": {
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        "volumes": [
            {"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}},
            {"name": "info", "downwardAPI": {"items": []}},
        ],
        "volumeMounts": [{"name": "cache", "mountPath": "/cache", "subPath": "hub", "readOnly": False}],
        "env": [
            {"name": "HF_HOME", "value": "/cache"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
        ],
        "envFrom": [{"secretRef": {"name": "hub", "optional": True}}, {"prefix": "X_", "configMapRef": {"name": "x"}}],
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "serviceAccountName": "trainer",
        "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
        "labels": {"team": "llm"},
        "annotations": {"note": "first try"},
        "sidecars": [{"name": "shipper", "image": "fluent/fluent-bit:3", "args": ["-c", "/etc/fluent"]}],
        "runtimeClassName": "nvidia",
        "schedulerName": "default-scheduler",
    },
    "spec.image": "registry/trainer:1",
    "spec.imagePullPolicy": "IfNotPresent",
    "spec.runPolicy": {
        "suspend": False,
        "backoffLimit": 0,
        "activeDeadlineSeconds": 86400,
        "ttlSecondsAfterFinished": 0,
        "deleteJob": True,
        "cleanPodPolicy": "None",
        "progressDeadlineSeconds": 600,
        "terminationGracePeriodSeconds": 120,
    },
    "spec.checkpoint": {"everyEpoch": True, "everySteps": 100, "everyMinutes": 7.5, "onPreemption": False, "keep": 2},
    "spec.queueName": "team-a",
}

ACCEPTED = [
    sft("smallest"),
    osft("smallest"),
    sft("empty-training", {"spec.training": {}}),
    osft("everything", WHOLE_JOB),
    sft("two-nodes", {"spec.nodes": 2, "spec.procsPerNode": 8}),
    sft("999-nodes", {"spec.nodes": 999}),
    sft("room-equal-to-longest", {T + "maxTokensPerGpu": 4096, T + "maxSeqLen": 4096}),
    sft("room-without-longest", {T + "maxTokensPerGpu": 100}),
    osft("room-below-longest", {T + "maxTokensPerGpu": 1024, T + "maxSeqLen": 2048}),
    osft("ratio-zero", {T + "unfreezeRankRatio": 0}),
    osft("ratio-one", {T + "unfreezeRankRatio": 1}),
    osft("warmup-zero", {T + "warmupSteps": 0}),
    sft("rate-as-a-whole-number", {T + "learningRate": 1}),
    sft("nodes-as-2.0", {"spec.nodes": 2.0}),
    sft("checkpoints-by-samples", {T + "checkpointAtEpoch": False, T + "saveSamples": 1000}),
    osft("checkpoint-at-epoch-only", {T + "saveFinalCheckpoint": False, T + "checkpointAtEpoch": True}),
    sft("dataset-processed", {"spec.dataset.format": "processed"}),
    osft("processed-twice", {"spec.dataset.format": "processed", T + "useProcessedDataset": True}),
    osft("use-processed-alone", {T + "useProcessedDataset": True}),
    sft("dataset-configmap", {"spec.dataset.uri": "configMap://facts/train.jsonl"}),
    sft("dataset-hf", {"spec.dataset.uri": "hf://org/data@v1.0/train/part-0.jsonl"}),
    sft("dataset-path", {"spec.dataset.uri": "/data/train.jsonl"}),
    sft("model-pvc", {"spec.model.uri": "pvc://models/granite/3b"}),
    sft("model-pvc-root", {"spec.model.uri": "pvc://models"}),
    sft("model-path", {"spec.model.uri": "/models/granite"}),
    sft("output-path", {"spec.output.uri": "/results/"}),
    sft("output-pvc-deep", {"spec.output.uri": "pvc://runs/team.a/llm/"}),
    sft("three-dots-are-a-name", {"spec.output.uri": "pvc://runs/a...b/..."}),
    sft("nodes-share-a-mount", {"spec.nodes": 2, "spec.output.uri": "/shared/runs", **MOUNTED}),
    sft("nodes-share-the-mount-itself", {"spec.nodes": 2, "spec.output.uri": "/shared", **MOUNTED}),
    sft("one-node-own-path", {"spec.nodes": 1, "spec.output.uri": "/results"}),
    sft("resume-from-job", {"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"name": "first"}}}),
    sft("resume-from-other-kind", {"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"kind": "OSFTJob", "name": "teach"}}}),
    sft("resume-from-uri", {"spec.model": ABSENT, "spec.resumeFrom": {"uri": "pvc://runs/a/hf_format/samples_8"}}),
    sft("gpus-as-text", {"spec.resources": {"limits": {"nvidia.com/gpu": "4"}}, "spec.procsPerNode": 4}),
    sft("fewer-processes-than-gpus", {"spec.resources": {"limits": {"nvidia.com/gpu": 8}}, "spec.procsPerNode": 4}),
    sft(
        "two-kinds-of-gpu", {"spec.resources": {"limits": {"nvidia.com/mig-1g.10gb": 2, "amd.com/gpu": 1}}, "spec.procsPerNode": 3}
    ),
    sft(
        "gpu-request-equal-limit",
        {"spec.resources": {"limits": {"nvidia.com/gpu": 2}, "requests": {"nvidia.com/gpu": "2"}}, "spec.procsPerNode": 2},
    ),
    sft("cpu", {"spec.device": "cpu", "spec.procsPerNode": 4, "spec.resources": {"limits": {"cpu": "4"}}}),
    sft("full-state-off", {T + "accelerateFullStateAtEpoch": False, "spec.checkpoint": {"everyEpoch": False}}),
    sft("full-state-off-alone", {T + "accelerateFullStateAtEpoch": False}),
    sft("tracking-absent-on-preemption-false", {"spec.checkpoint": {"onPreemption": False}}),
    sft("ttl-without-delete", {"spec.runPolicy": {"ttlSecondsAfterFinished": 60, "deleteJob": False}}),
    sft("name-of-40", {"metadata.name": "a" * 40}),
    sft("env-like-ours", {"spec.template": {"env": [{"name": "MY_RANK", "value": "1"}, {"name": "PETS"}]}}),
    sft("mount-beside-ours", {**MOUNTED, "spec.template.volumeMounts": [{"name": "shared", "mountPath": "/kubetunes"}]}),
    sft("unknown-field-of-a-sidecar", {"spec.template": {"sidecars": [{"name": "a", "image": "b", "anything": {"goes": 1}}]}}),
]

REJECTED = [
    # unknown fields, with the nearest known one
    sft("unknown-training-field", {T + "learningRat": 1e-5}, T + "learningRat", "did you mean learningRate?"),
    sft("snake-case", {T + "learning_rate": 1e-5}, T + "learning_rate", "did you mean learningRate?"),
    sft("osft-field-in-sft", {T + "unfreezeRankRatio": 0.3}, T + "unfreezeRankRatio", "unknown field"),
    sft("unknown-spec-field", {"spec.node": 2}, "spec.node", "did you mean nodes?"),
    sft("unknown-model-field", {"spec.model.url": "x"}, "spec.model.url", "did you mean uri?"),
    sft(
        "unknown-policy-field",
        {"spec.runPolicy": {"backoffLimits": 1}},
        "spec.runPolicy.backoffLimits",
        "did you mean backoffLimit?",
    ),
    sft(
        "unknown-template-field",
        {"spec.template": {"nodeselector": {}}},
        "spec.template.nodeselector",
        "did you mean nodeSelector?",
    ),
    sft(
        "unknown-toleration-field",
        {"spec.template": {"tolerations": [{"efect": "NoExecute"}]}},
        "spec.template.tolerations[0].efect",
        "did you mean effect?",
    ),
    sft(
        "unknown-volume-source",
        {"spec.template": {"volumes": [{"name": "a", "emptydir": {}}]}},
        "spec.template.volumes[0].emptydir",
        "emptyDir",
    ),
    sft("unknown-metadata-field", {"metadata.lables": {}}, "metadata.lables", "did you mean labels?"),
    # what is required
    sft("no-dataset", {"spec.dataset": ABSENT}, "spec.dataset", "required"),
    sft("no-output", {"spec.output": ABSENT}, "spec.output", "required"),
    sft("no-uri", {"spec.model": {}}, "spec.model.uri", "required"),
    sft("no-spec", {"spec": ABSENT}, "spec", "required"),
    osft("no-training", {"spec.training": ABSENT}, "spec.training", "required"),
    osft("no-ratio", {T + "unfreezeRankRatio": ABSENT}, T + "unfreezeRankRatio", "required"),
    osft("no-batch", {T + "effectiveBatchSize": ABSENT}, T + "effectiveBatchSize", "required"),
    osft("no-room", {T + "maxTokensPerGpu": ABSENT}, T + "maxTokensPerGpu", "required"),
    osft("no-longest", {T + "maxSeqLen": ABSENT}, T + "maxSeqLen", "required"),
    osft("no-rate", {T + "learningRate": ABSENT}, T + "learningRate", "required"),
    sft("toleration-is-no-list", {"spec.template": {"tolerations": {}}}, "spec.template.tolerations", "a list"),
    # types and bounds
    osft("ratio-above-one", {T + "unfreezeRankRatio": 1.5}, T + "unfreezeRankRatio", "1.5 is more than 1"),
    osft("ratio-below-zero", {T + "unfreezeRankRatio": -0.1}, T + "unfreezeRankRatio", "-0.1 is less than 0"),
    sft("rate-zero", {T + "learningRate": 0}, T + "learningRate", "not more than 0"),
    sft("rate-above-one", {T + "learningRate": 2}, T + "learningRate", "more than 1"),
    sft("rate-as-text", {T + "learningRate": "2e-5"}, T + "learningRate", "without quotes"),
    sft("batch-as-text", {T + "effectiveBatchSize": "8"}, T + "effectiveBatchSize", "write 8 without quotes"),
    sft("batch-zero", {T + "effectiveBatchSize": 0}, T + "effectiveBatchSize", "less than 1"),
    sft("epochs-half", {T + "numEpochs": 1.5}, T + "numEpochs", "whole number"),
    sft("epochs-beyond-int32", {T + "numEpochs": 2**31}, T + "numEpochs", "more than"),
    sft("flag-as-text", {T + "useLiger": "yes"}, T + "useLiger", "true or false"),
    sft("flag-as-number", {T + "useLiger": 1}, T + "useLiger", "true or false"),
    sft("nodes-zero", {"spec.nodes": 0}, "spec.nodes", "less than 1"),
    sft("nodes-1000", {"spec.nodes": 1000}, "spec.nodes", "more than 999"),
    sft("procs-zero", {"spec.procsPerNode": 0}, "spec.procsPerNode", "less than 1"),
    sft("procs-129", {"spec.procsPerNode": 129}, "spec.procsPerNode", "more than 128"),
    sft("model-is-text", {"spec.model": "hf://org/name"}, "spec.model", "a block of fields"),
    sft("uri-is-a-number", {"spec.model.uri": 3}, "spec.model.uri", "is not text"),
    sft("training-is-a-list", {"spec.training": []}, "spec.training", "a block of fields"),
    osft("no-patterns", {T + "targetPatterns": []}, T + "targetPatterns", "empty"),
    osft("patterns-as-text", {T + "targetPatterns": "q_proj"}, T + "targetPatterns", "a list"),
    osft("unknown-scheduler", {T + "lrScheduler": "cosin"}, T + "lrScheduler", "did you mean cosine?"),
    sft("unknown-device", {"spec.device": "tpu"}, "spec.device", "gpu"),
    sft("unknown-format", {"spec.dataset.format": "message"}, "spec.dataset.format", "did you mean messages?"),
    sft("backend-of-the-other-kind", {"spec.backend": "mini-trainer"}, "spec.backend", "instructlab-training"),
    osft("unknown-backend", {"spec.backend": "minitrainer"}, "spec.backend", "did you mean mini-trainer?"),
    sft("unknown-pull-policy", {"spec.imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy", "IfNotPresent"),
    sft(
        "unknown-clean-policy",
        {"spec.runPolicy": {"cleanPodPolicy": "running"}},
        "spec.runPolicy.cleanPodPolicy",
        "did you mean Running?",
    ),
    sft("backoff-negative", {"spec.runPolicy": {"backoffLimit": -1}}, "spec.runPolicy.backoffLimit", "less than 0"),
    sft("deadline-zero", {"spec.runPolicy": {"activeDeadlineSeconds": 0}}, "spec.runPolicy.activeDeadlineSeconds", "less than 1"),
    sft("minutes-zero", {"spec.checkpoint": {"everyMinutes": 0}}, "spec.checkpoint.everyMinutes", "not more than 0"),
    sft("keep-none", {"spec.checkpoint": {"keep": 0}}, "spec.checkpoint.keep", "less than 1"),
    sft("memory-is-no-quantity", {"spec.resources": {"limits": {"memory": "64 GB"}}}, "spec.resources.limits.memory", "Gi"),
    sft("memory-negative", {"spec.resources": {"limits": {"memory": "-1Gi"}}}, "spec.resources.limits.memory", "Gi"),
    sft("cpu-as-float", {"spec.resources": {"limits": {"cpu": 1.5}}}, "spec.resources.limits.cpu", "quotes"),
    # rules between fields of the training block
    sft("room-below-longest", {T + "maxTokensPerGpu": 1024, T + "maxSeqLen": 4096}, T + "maxTokensPerGpu", "less than maxSeqLen"),
    sft("no-checkpoint-left", {T + "checkpointAtEpoch": False}, T + "checkpointAtEpoch", "without a checkpoint"),
    sft(
        "no-checkpoint-left-by-zero",
        {T + "checkpointAtEpoch": False, T + "saveSamples": 0},
        T + "checkpointAtEpoch",
        "set saveSamples",
    ),
    osft("no-checkpoint-left", {T + "saveFinalCheckpoint": False}, T + "saveFinalCheckpoint", "without a checkpoint"),
    osft(
        "processed-said-no",
        {"spec.dataset.format": "processed", T + "useProcessedDataset": False},
        T + "useProcessedDataset",
        "contradicts",
    ),
    osft(
        "messages-said-processed",
        {"spec.dataset.format": "messages", T + "useProcessedDataset": True},
        T + "useProcessedDataset",
        "contradicts",
    ),
    sft(
        "full-state-disagrees",
        {T + "accelerateFullStateAtEpoch": False, "spec.checkpoint": {"everyEpoch": True}},
        "spec.checkpoint.everyEpoch",
        "accelerateFullStateAtEpoch is false",
    ),
    sft("delete-without-ttl", {"spec.runPolicy": {"deleteJob": True}}, "spec.runPolicy.deleteJob", "ttlSecondsAfterFinished"),
    # where it starts
    sft("model-and-resume", {"spec.resumeFrom": {"uri": "pvc://runs/a"}}, "spec.resumeFrom", "both set"),
    sft("neither-model-nor-resume", {"spec.model": ABSENT}, "spec.model", "nothing to train"),
    sft(
        "resume-from-two",
        {"spec.model": ABSENT, "spec.resumeFrom": {"uri": "pvc://runs/a", "jobRef": {"name": "first"}}},
        "spec.resumeFrom",
        "exactly one",
    ),
    sft("resume-from-nothing", {"spec.model": ABSENT, "spec.resumeFrom": {}}, "spec.resumeFrom", "exactly one"),
    sft(
        "resume-from-itself",
        {"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"name": "teach"}}},
        "spec.resumeFrom.jobRef",
        "itself",
    ),
    osft(
        "resume-from-itself-by-kind",
        {"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"kind": "OSFTJob", "name": "teach"}}},
        "spec.resumeFrom.jobRef",
        "itself",
    ),
    sft(
        "resume-from-hub",
        {"spec.model": ABSENT, "spec.resumeFrom": {"uri": "hf://org/name"}},
        "spec.resumeFrom.uri",
        "pvc://claim/path",
    ),
    sft(
        "resume-from-unknown-kind",
        {"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"kind": "LoRAJob", "name": "first"}}},
        "spec.resumeFrom.jobRef.kind",
        "SFTJob",
    ),
    # URIs
    sft("model-relative", {"spec.model.uri": "models/granite"}, "spec.model.uri", "hf://org/name@revision"),
    sft("model-hub-without-org", {"spec.model.uri": "hf://gpt2"}, "spec.model.uri", "not a URI"),
    sft("model-from-configmap", {"spec.model.uri": "configMap://a/b"}, "spec.model.uri", "not a URI"),
    sft("model-unknown-scheme", {"spec.model.uri": "gs://bucket/model"}, "spec.model.uri", "not a URI"),
    sft("model-empty", {"spec.model.uri": ""}, "spec.model.uri", "not a URI"),
    sft("model-with-a-space", {"spec.model.uri": "pvc://models/my model"}, "spec.model.uri", "not a URI"),
    sft("model-with-a-newline", {"spec.model.uri": "pvc://models\n"}, "spec.model.uri", "not a URI"),
    sft("model-too-long", {"spec.model.uri": "/" + "a" * 1024}, "spec.model.uri", "1024"),
    sft("dataset-is-a-claim", {"spec.dataset.uri": "pvc://data"}, "spec.dataset.uri", "file.jsonl"),
    sft("dataset-is-a-repository", {"spec.dataset.uri": "hf://org/data"}, "spec.dataset.uri", "file.jsonl"),
    sft("dataset-is-a-directory", {"spec.dataset.uri": "pvc://data/"}, "spec.dataset.uri", "not a URI"),
    sft("dataset-claim-in-capitals", {"spec.dataset.uri": "pvc://Data/train.jsonl"}, "spec.dataset.uri", "not a URI"),
    sft("dataset-steps-up", {"spec.dataset.uri": "pvc://data/../secret.jsonl"}, "spec.dataset.uri", "'..'"),
    sft("output-steps-up", {"spec.output.uri": "/results/.."}, "spec.output.uri", "'..'"),
    sft("output-on-the-hub", {"spec.output.uri": "hf://org/name"}, "spec.output.uri", "pvc://claim/path"),
    sft("output-is-the-root", {"spec.output.uri": "/"}, "spec.output.uri", "not a URI"),
    # nodes and devices
    sft("nodes-share-nothing", {"spec.nodes": 2, "spec.output.uri": "/results"}, "spec.output.uri", "not shared"),
    sft(
        "nodes-beside-the-mount",
        {"spec.nodes": 2, "spec.output.uri": "/shared-not/runs", **MOUNTED},
        "spec.output.uri",
        "not shared",
    ),
    sft(
        "nodes-share-an-empty-dir",
        {
            "spec.nodes": 2,
            "spec.output.uri": "/shared/runs",
            **MOUNTED,
            "spec.template.volumes": [{"name": "shared", "emptyDir": {}}],
        },
        "spec.output.uri",
        "not shared",
    ),
    sft(
        "cpu-with-gpus",
        {"spec.device": "cpu", "spec.resources": {"limits": {"nvidia.com/gpu": 1}}},
        "spec.resources",
        "device is cpu",
    ),
    sft(
        "more-procs-than-gpus",
        {"spec.procsPerNode": 8, "spec.resources": {"limits": {"nvidia.com/gpu": 4}}},
        "spec.procsPerNode",
        "GPUs",
    ),
    sft(
        "more-procs-than-gpus-as-text",
        {"spec.procsPerNode": 8, "spec.resources": {"limits": {"nvidia.com/gpu": "4"}}},
        "spec.procsPerNode",
        "GPUs",
    ),
    sft("gpu-in-parts", {"spec.resources": {"limits": {"nvidia.com/gpu": "500m"}}}, "spec.resources.limits", "whole number"),
    sft("gpu-zero", {"spec.resources": {"limits": {"nvidia.com/gpu": 0}}}, "spec.resources.limits", "whole number"),
    sft(
        "gpu-requested-only", {"spec.resources": {"requests": {"nvidia.com/gpu": 1}}}, "spec.resources.requests", "resources.limits"
    ),
    sft(
        "gpu-requested-otherwise",
        {"spec.resources": {"limits": {"nvidia.com/gpu": 2}, "requests": {"nvidia.com/gpu": 1}}},
        "spec.resources.requests",
        "resources.limits",
    ),
    # the template
    sft(
        "own-volume",
        {"spec.template": {"volumes": [{"name": "kubetune-shm", "emptyDir": {}}]}},
        "spec.template.volumes",
        "kubetune's own",
    ),
    sft(
        "own-mount",
        {**MOUNTED, "spec.template.volumeMounts": [{"name": "shared", "mountPath": "/kubetune/x"}]},
        "spec.template.volumeMounts",
        "kubetune's own",
    ),
    sft(
        "own-shm",
        {**MOUNTED, "spec.template.volumeMounts": [{"name": "shared", "mountPath": "/dev/shm/"}]},
        "spec.template.volumeMounts",
        "kubetune's own",
    ),
    sft(
        "relative-mount",
        {**MOUNTED, "spec.template.volumeMounts": [{"name": "shared", "mountPath": "x"}]},
        "spec.template.volumeMounts",
        "absolute path",
    ),
    sft(
        "mount-steps-up",
        {**MOUNTED, "spec.template.volumeMounts": [{"name": "shared", "mountPath": "/a/../kubetune"}]},
        "spec.template.volumeMounts",
        "'..'",
    ),
    sft(
        "mount-of-nothing",
        {"spec.template": {"volumeMounts": [{"name": "shared", "mountPath": "/x"}]}},
        "spec.template.volumeMounts",
        "template.volumes",
    ),
    *(
        sft(
            f"own-env-{name.lower()}",
            {"spec.template": {"env": [{"name": name, "value": "1"}]}},
            "spec.template.env",
            "set by kubetune",
        )
        for name in ("KUBETUNE_CONTRACT", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "PET_NNODES")
    ),
    sft(
        "env-of-two-sources",
        {"spec.template": {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}},
        "spec.template.env",
        "both set",
    ),
    sft("env-twice", {"spec.template": {"env": [{"name": "A"}, {"name": "A"}]}}, "spec.template.env", "keep one"),
    sft("volume-twice", {"spec.template": {"volumes": [{"name": "a"}, {"name": "a"}]}}, "spec.template.volumes", "keep one"),
    sft("own-label", {"spec.template": {"labels": {"kubetune.dev/attempt": "9"}}}, "spec.template.labels", "kubetune's own"),
    sft(
        "own-annotation",
        {"spec.template": {"annotations": {"training.kubeflow.org/x": "9"}}},
        "spec.template.annotations",
        "kubetune's own",
    ),
    sft("label-is-a-number", {"spec.template": {"labels": {"a": 1}}}, "spec.template.labels.a", "is not text"),
    sft(
        "own-sidecar",
        {"spec.template": {"sidecars": [{"name": "pytorch", "image": "x"}]}},
        "spec.template.sidecars",
        "kubetune's own",
    ),
    sft("sidecar-without-image", {"spec.template": {"sidecars": [{"name": "a"}]}}, "spec.template.sidecars[0].image", "required"),
    # names
    sft("name-of-41", {"metadata.name": "a" * 41}, "metadata.name", "more than 40"),
    sft("name-with-a-dot", {"metadata.name": "a.b"}, "metadata.name", "lower-case"),
    sft("name-with-a-digit-first", {"metadata.name": "7b"}, "metadata.name", "lower-case"),
    # not in this version
    sft("tracking", {"spec.tracking": {"mlflow": {"trackingUri": "http://x"}}}, "spec.tracking", "not supported"),
    sft("tracking-empty", {"spec.tracking": {}}, "spec.tracking", "not supported"),
    sft("on-preemption", {"spec.checkpoint": {"onPreemption": True}}, "spec.checkpoint.onPreemption", "not supported"),
    sft("pretraining", {"spec.dataset.format": "pretraining"}, "spec.dataset.format", "not supported"),
    sft("model-from-s3", {"spec.model.uri": "s3://bucket/key"}, "spec.model.uri", "not supported"),
    sft("dataset-from-s3", {"spec.dataset.uri": "s3://bucket/train.jsonl"}, "spec.dataset.uri", "not supported"),
    sft("output-to-s3", {"spec.output.uri": "s3://bucket/runs", "spec.nodes": 2}, "spec.output.uri", "not supported"),
    sft(
        "resume-from-s3",
        {"spec.model": ABSENT, "spec.resumeFrom": {"uri": "s3://bucket/a"}},
        "spec.resumeFrom.uri",
        "not supported",
    ),
]

CASES: list[Case] = [*ACCEPTED, *REJECTED]


@dataclass(frozen=True)
class Change:
    """An edit of a job that has started. `refused`: the field of the spec that may not change, or None."""

    name: str
    kind: str
    edit: dict[str, Any]
    refused: str | None = None
    before: dict[str, Any] = field(default_factory=dict)

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The job before and after."""
        old = edited(SMALLEST[self.kind], self.before)
        return old, edited(old, self.edit)


CHANGES = [
    Change("suspend", "OSFTJob", {"spec.runPolicy": {"suspend": True, "backoffLimit": 9}}),
    Change("image", "OSFTJob", {"spec.image": "trainer:2"}),
    Change("template", "OSFTJob", {"spec.template": {"nodeSelector": {"a": "b"}}}),
    Change("secret", "OSFTJob", {"spec.model.secretRef": {"name": "new"}}),
    Change("memory", "OSFTJob", {"spec.resources": {"limits": {"memory": "1Gi"}}}),
    Change(
        "defaults-spelt-out",
        "OSFTJob",
        {"spec.nodes": 1, "spec.procsPerNode": 1, "spec.device": "gpu", "spec.backend": "mini-trainer"},
    ),
    Change("format-spelt-out", "OSFTJob", {"spec.dataset.format": "messages"}),
    Change("empty-training", "SFTJob", {"spec.training": {}}),
    Change("training-taken-out", "SFTJob", {"spec.training": ABSENT}, before={"spec.training": {}}),
    Change("procs-from-gpus", "SFTJob", {"spec.resources": {"limits": {"nvidia.com/gpu": "2"}}}, before={"spec.procsPerNode": 2}),
    Change(
        "reference-spelt-out",
        "SFTJob",
        {"spec.resumeFrom.jobRef.kind": "SFTJob"},
        before={"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"name": "a"}}},
    ),
    Change("rate", "OSFTJob", {T + "learningRate": 1e-6}, "training"),
    Change("one-more-parameter", "OSFTJob", {T + "seed": 1}, "training"),
    Change("one-parameter-less", "OSFTJob", {T + "seed": ABSENT}, "training", before={T + "seed": 1}),
    Change(
        "schedule", "OSFTJob", {T + "lrSchedulerKwargs": {"min_lr": 2}}, "training", before={T + "lrSchedulerKwargs": {"min_lr": 1}}
    ),
    Change("first-parameter", "SFTJob", {T + "seed": 1}, "training"),
    Change("last-parameter", "SFTJob", {"spec.training": ABSENT}, "training", before={T + "seed": 1}),
    Change("model", "SFTJob", {"spec.model.uri": "hf://org/other"}, "model"),
    Change("dataset", "SFTJob", {"spec.dataset.uri": "pvc://data/other.jsonl"}, "dataset"),
    Change("format", "SFTJob", {"spec.dataset.format": "processed"}, "dataset"),
    Change("output", "SFTJob", {"spec.output.uri": "pvc://elsewhere"}, "output"),
    Change("nodes", "SFTJob", {"spec.nodes": 2}, "nodes"),
    Change("procs", "SFTJob", {"spec.procsPerNode": 2}, "procsPerNode"),
    Change("gpus", "SFTJob", {"spec.resources": {"limits": {"nvidia.com/gpu": 2}}}, "procsPerNode"),
    Change("device", "SFTJob", {"spec.device": "cpu"}, "device"),
    Change(
        "other-checkpoint",
        "SFTJob",
        {"spec.resumeFrom.uri": "pvc://a/c"},
        "resumeFrom",
        before={"spec.model": ABSENT, "spec.resumeFrom": {"uri": "pvc://a/b"}},
    ),
    Change(
        "other-job",
        "SFTJob",
        {"spec.resumeFrom.jobRef.kind": "OSFTJob"},
        "resumeFrom",
        before={"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"name": "a"}}},
    ),
]
