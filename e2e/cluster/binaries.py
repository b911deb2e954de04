"""The cluster's programs, built from pinned Go modules into a cache outside the clone, one folder a content of go.sum."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1] / "tools"
CACHE = Path(os.environ.get("KUBETUNE_CACHE", Path.home() / ".cache" / "kubetune"))
GO = ("go", "build", "-tags", "providerless")
GO_ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}


@dataclass(frozen=True)
class Program:
    """One Go main package; `module` names the folder of e2e/tools whose go.mod pins it."""

    name: str
    module: str
    package: str


PROGRAMS = {
    p.name: p
    for p in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *(
            Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}")
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        ),
        Program("training-operator", "training-operator", "github.com/kubeflow/training-operator/cmd/training-operator.v1"),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Program("kueue", "kueue", "sigs.k8s.io/kueue/cmd/kueue"),
        Program("trainer-controller-manager", "trainer", "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"),
        Program("jobset", "jobset", "sigs.k8s.io/jobset"),
    )
}


def path(name: str) -> Path:
    """The built program, built now if the cache lacks it (kube-apiserver takes five minutes on two cores)."""
    program = PROGRAMS[name]
    target = CACHE / "bin" / key(program.module) / name
    if not target.exists():
        build(program, target)
    return target


def key(module: str) -> str:
    """Changes when any dependency of the module does."""
    return f"{module}-{hashlib.sha256((TOOLS / module / 'go.sum').read_bytes()).hexdigest()[:16]}"


def build(program: Program, target: Path) -> None:
    print(f"==> building {program.name} (once; kept in {target.parent})", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    began, scratch = time.monotonic(), target.with_suffix(f".{os.getpid()}")
    command = [*GO, "-ldflags", " ".join(["-s -w", *version_flags(program)]), "-o", str(scratch), program.package]
    subprocess.run(command, cwd=TOOLS / program.module, env={**os.environ, **GO_ENV}, check=True)
    scratch.rename(target)  # two builds at once end with one whole file
    print(f"    {program.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def version_flags(program: Program) -> list[str]:
    """Kubernetes learns its version from the linker; without it the API server calls itself v0.0.0 and clients refuse it."""
    if program.module != "kubernetes":
        return []
    command = ["go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"]
    version = subprocess.check_output(command, cwd=TOOLS / program.module, text=True).strip()
    minor = version.split(".")[1]
    base = "k8s.io/component-base/version"
    settings = (
        f"{base}.gitVersion={version}",
        f"{base}.gitMajor=1",
        f"{base}.gitMinor={minor}",
        f"k8s.io/client-go/pkg/version.gitVersion={version}",
    )
    return [f"-X {setting}" for setting in settings]


def module_dir(program: str, module: str) -> Path:
    """Where Go keeps that module's files (CRDs and webhook manifests are read from there)."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    return Path(subprocess.check_output(command, cwd=TOOLS / PROGRAMS[program].module, text=True).strip())


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PROGRAMS:
        print(path(wanted))
