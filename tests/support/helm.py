"""Helm, which keeps what it remembers in a folder of the test's."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

CHART = Path(__file__).resolve().parents[2] / "charts" / "kubetune"


@dataclass(frozen=True)
class Helm:
    """Raises AssertionError with what Helm said if it fails."""

    program: Path
    home: Path
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        places = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig or "/dev/null"), **places}
        done = subprocess.run(
            [str(self.program), *arguments], env=environment, text=True, capture_output=True, check=False, timeout=300
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said if fails else done.stdout
