"""How long `kubetune validate` takes for many job files, and `kubetune --help` for itself: measured, no test.

python scripts/bench_validate.py [FILES]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = ("minimal/osft.yaml", "minimal/sft.yaml", "two-nodes/osft.yaml", "eight-gpus/sft.yaml", "s3/osft.yaml")
EXAMPLES = [ROOT / "examples" / name for name in KINDS]
KUBETUNE = [sys.executable, "-m", "kubetune.cli"]
ROUNDS = 5


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        for index in range(files):
            text = EXAMPLES[index % len(EXAMPLES)].read_text()
            Path(folder, f"job-{index}.yaml").write_text(text)
        told("validate", files, [*KUBETUNE, "validate", "--quiet", folder])
    told("--help", 1, [*KUBETUNE, "--help"])


def told(what: str, files: int, command: list[str]) -> None:
    """Best and worst of some rounds: the best is the program's, the worst this machine's; and what it took of one core."""
    rounds = sorted(timed(command) for _ in range(ROUNDS))
    of = f" of {files} files" if files > 1 else ""
    clock = f"{rounds[0][0]:.2f} s at best, {rounds[-1][0]:.2f} s at worst of {ROUNDS}"
    print(f"kubetune {what}{of}: {clock}; {min(cpu for _, cpu in rounds):.2f} s of one core")


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds on the clock, and of a core."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
