"""Records a newcomer's terminal session into docs/session.md: a real shell on a real pseudo-terminal, and what its screen shows.

    python scripts/record_session.py            # make session

In a fresh clone of what is committed. Nothing is edited: what a progress bar overwrote is overwritten, and that is all. A command
that ends with another code than it should ends the recording without a page.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ
from typing import Self

from screen import Screen

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "session.md"
ROWS, COLUMNS = 50, 130
PROMPT = r"\[\e]133;D;$?\a\]$ "
"""The mark before it, which no terminal shows, tells that the last command has ended, and how."""

ENDED = re.compile(r"\x1b\]133;D;(\d+)\x07\$ $")

HEAD = """# A newcomer's session

Recorded by `make session` on {when}, with {python} on {cores} cores, in a fresh clone of commit {commit}. What stands here is
the screen of a real terminal, unedited; the wheels were in the package manager's cache. {seconds} seconds from the first command
to the last.

```text
{screen}
```
"""


@dataclass(frozen=True)
class Step:
    """A command; by the words before the cursor what it asks, and the answer that is typed; the code with which it must end."""

    typed: str
    answers: tuple[tuple[str, str], ...] = ()
    code: int = 0


ANSWERS = (
    ("Kind", ""),
    ("Name", "first"),
    ("Model", "pvc://tiny/tiny-llama"),
    ("Data set", "pvc://tiny/train.jsonl"),
    ("Where checkpoints go", "pvc://runs"),
    ("Train on gpu or cpu", "cpu"),
    ("Nodes", ""),
    ("Training processes", ""),
    ("Epochs", "3"),
    ("Samples", "8"),
    ("Longest sample", "64"),
    ("Tokens", "180"),
    ("Learning rate", "1e-3"),
)
"""What `kubetune init` asks for, and what is answered; nothing: the default."""

STEPS = (
    Step("make setup"),
    Step("source .venv/bin/activate"),
    Step("python tests/support/tiny.py .kubetune/volumes/tiny 2> /dev/null"),
    Step("kubetune init first.yaml", ANSWERS),
    Step("kubetune validate first.yaml"),
    Step("kubetune run first.yaml"),
    Step("kubetune report first"),
)


class Shell:
    """bash on a pseudo-terminal, in a directory."""

    def __init__(self, directory: Path) -> None:
        self._terminal, inner = pty.openpty()
        ioctl(self._terminal, TIOCSWINSZ, pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {"PS1": PROMPT, "TERM": "xterm-256color", "HISTFILE": "/dev/null", "VIRTUAL_ENV_DISABLE_PROMPT": "1"}
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting"],
            cwd=directory,
            env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self.said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._terminal)
        self._process.wait(timeout=60)

    def type(self, text: str) -> None:
        os.write(self._terminal, f"{text}\n".encode())

    def wait(self, wanted: re.Pattern[str], seconds: float) -> re.Match[str]:
        """Until what was said since the last wait ends so. Raises TimeoutError with the end of what was said."""
        deadline, begin, raw = time.monotonic() + seconds, len(self.said), b""
        while time.monotonic() < deadline:
            if select.select([self._terminal], [], [], 0.5)[0]:
                raw += os.read(self._terminal, 65536)
                text = raw.decode(errors="ignore")  # a character may have come by half
                self.said = self.said[:begin] + text
                if found := wanted.search(text):
                    return found
        raise TimeoutError(f"{wanted.pattern!r} did not come within {seconds} s; last: {self.said[-500:]!r}")


def record(directory: Path, steps: Sequence[Step], seconds: float = 1800) -> str:
    """What the screen shows in the end. Raises RuntimeError if a command ends otherwise than it should."""
    with Shell(directory) as shell:
        shell.wait(ENDED, seconds)
        for step in steps:
            shell.type(step.typed)
            for question, answer in step.answers:
                shell.wait(re.compile(rf"\n{question}[^\n]*: $"), seconds)
                shell.type(answer)
            code = int(shell.wait(ENDED, seconds)[1])
            if code != step.code:
                raise RuntimeError(f"$ {step.typed}\nended with {code}, not {step.code}; the screen:\n{shown(shell.said)}")
        return shown(shell.said)


def shown(said: str) -> str:
    """Without the prompt that waits for the next command."""
    screen = Screen()
    screen.feed(said)
    return screen.text.rstrip().removesuffix("\n$")


def main() -> int:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="newcomer-") as directory:
        clone = Path(directory) / "kubetune"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        begin = time.monotonic()
        screen = record(clone, STEPS)
    facts = {"when": f"{datetime.now(UTC):%Y-%m-%d}", "python": f"Python {sys.version.split()[0]}", "cores": os.cpu_count()}
    PAGE.write_text(HEAD.format(**facts, commit=commit.strip(), seconds=round(time.monotonic() - begin), screen=screen))
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
