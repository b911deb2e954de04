"""The cluster's programs, built from pinned Go modules into a cache outside the clone, one folder a content of go.sum."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1] / "tools"
CACHE = Path(os.environ.get("KUBETUNE_CACHE", Path.home() / ".cache" / "kubetune"))
GO = ("nice", "-n", "10", "go", "build", "-tags", "providerless")
GO_ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}


@dataclass(frozen=True)
class Edit:
    """One text of a file of the program's own Go module, replaced in a copy that is built."""

    file: str
    old: str
    new: str


VISIBILITY = "pkg/visibility/server.go"
KUEUE_EDITS = (
    Edit(VISIBILITY, '\t"net"\n', '\t"net"\n\t"os"\n\t"strconv"\n'),
    Edit(VISIBILITY, '"/visibility"', 'os.Getenv("VISIBILITY_CERTS")'),
    Edit(
        VISIBILITY,
        "o.SecureServing.BindPort = 8082",
        'o.SecureServing.BindPort, _ = strconv.Atoi(os.Getenv("VISIBILITY_PORT"))\n'
        '\to.Authentication.RemoteKubeConfigFile = os.Getenv("KUBECONFIG")\n'
        '\to.Authorization.RemoteKubeConfigFile = os.Getenv("KUBECONFIG")\n'
        '\to.CoreAPI.CoreAPIKubeconfigPath = os.Getenv("KUBECONFIG")',
    ),
)
"""Kueue's visibility API (the position in the queue) is fixed to port 8082, a folder at the root and an in-cluster configuration:
two clusters on one machine could not both have it."""


@dataclass(frozen=True)
class Program:
    """One Go main package; `module` names the folder of e2e/tools whose go.mod pins it."""

    name: str
    module: str
    package: str
    edits: tuple[Edit, ...] = ()


PROGRAMS = {
    p.name: p
    for p in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *(
            Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}")
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")
        ),
        Program("coredns", "coredns", "github.com/coredns/coredns"),
        Program("pause", "pause", "."),
        Program("training-operator", "training-operator", "github.com/kubeflow/training-operator/cmd/training-operator.v1"),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Program("kueue", "kueue", "sigs.k8s.io/kueue/cmd/kueue", KUEUE_EDITS),
        Program("kstatus", "kstatus", "."),
        Program("flux-health", "flux-health", "."),
        Program("versitygw", "versitygw", "github.com/versity/versitygw/cmd/versitygw"),
        Program("trainer-controller-manager", "trainer", "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"),
        Program("jobset", "jobset", "sigs.k8s.io/jobset"),
        Program("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
    )
}

NODE = frozenset({"kubelet", "kube-proxy", "coredns", "pause"})
"""What a real node runs beside the container runtime."""

PEERS = frozenset({"trainer-controller-manager", "jobset"})
"""What `make bench` measures beside."""

ON_DEMAND = NODE | PEERS
"""What no test of `make test` needs: built when it is asked for."""


def path(name: str) -> Path:
    """The built program, built now if the cache lacks it (kube-apiserver takes five minutes on two cores)."""
    program = PROGRAMS[name]
    target = target_of(program)
    if not target.exists():
        build(program, target)
    return target


def target_of(program: Program) -> Path:
    return CACHE / "bin" / key(program) / program.name


def key(program: Program) -> str:
    """Changes when any dependency of the module does, its own program, or an edit."""
    files = [TOOLS / program.module / "go.sum", *(TOOLS / program.module).glob("main.go")]
    edits = repr(program.edits).encode() if program.edits else b""
    content = b"".join(file.read_bytes() for file in files) + edits
    return f"{program.module}-{hashlib.sha256(content).hexdigest()[:16]}"


def build(program: Program, target: Path) -> None:
    require_go()
    print(f"==> building {program.name} (once; kept in {target.parent})", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    began, scratch = time.monotonic(), target.with_suffix(f".{os.getpid()}")
    flags = ["-ldflags", " ".join(["-s -w", *version_flags(program)]), *edited_module(program, target.parent)]
    command = [*GO, *flags, "-o", str(scratch), program.package]
    subprocess.run(command, cwd=TOOLS / program.module, env={**os.environ, **GO_ENV}, check=True)
    scratch.rename(target)  # two builds at once end with one whole file
    print(f"    {program.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def require_go() -> None:
    """Ends the process, saying what to do, where there is no Go."""
    if not shutil.which("go"):
        sys.exit(
            f"Go is not on PATH; it builds the test cluster's programs into {CACHE} and names their files at run time.\n"
            "Install Go 1.26 (https://go.dev/dl) and try again."
        )


def edited_module(program: Program, folder: Path) -> list[str]:
    """The flag that makes Go build from an edited copy. Raises ValueError if a text to be replaced is not there exactly once."""
    if not program.edits:
        return []
    module = program.package.partition("/cmd/")[0]
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    subprocess.run(["cp", "-r", "--no-preserve=mode", module_dir(program.name, module), source], check=True)
    for edit in program.edits:
        file = source / edit.file
        text = file.read_text()
        if text.count(edit.old) != 1:
            raise ValueError(f"{file}: {edit.old!r} is there {text.count(edit.old)} times")
        file.write_text(text.replace(edit.old, edit.new))
    shutil.copyfile(TOOLS / program.module / "go.sum", folder / "edited.sum")
    modules = (TOOLS / program.module / "go.mod").read_text()
    (folder / "edited.mod").write_text(f"{modules}\nreplace {module} => {source}\n")
    return [f"-modfile={folder / 'edited.mod'}"]


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
    require_go()
    where = TOOLS / PROGRAMS[program].module
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    if not (found := subprocess.check_output(command, cwd=where, text=True).strip()):  # not on this machine yet
        subprocess.run(["go", "mod", "download", module], cwd=where, check=True)
        found = subprocess.check_output(command, cwd=where, text=True).strip()
    return Path(found)


def build_missing(names: Iterable[str]) -> None:
    """Builds those that the cache lacks, and says how long that takes."""
    missing = [name for name in names if not target_of(PROGRAMS[name]).exists()]
    if missing:
        print(
            f"==> {', '.join(missing)}: built from pinned Go modules, once (all: 20 minutes on 2 cores)",
            file=sys.stderr,
            flush=True,
        )
    for name in missing:
        path(name)


if __name__ == "__main__":
    asked_for = sys.argv[1:] or [name for name in PROGRAMS if name not in ON_DEMAND]
    build_missing(asked_for)
    for wanted in asked_for:
        print(path(wanted))
