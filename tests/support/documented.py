"""What the documents tell a reader to type: found, classified, and typed.

A session is a fenced block of the language `console`: lines that begin with "$ " are typed, the others are what comes of them. The comment
above it says what becomes of it:

    <!-- run -->                       typed by a test in `make test`, in a directory of the page's own
    <!-- run: train -->                it trains, or needs what was trained: typed by `make test` for one page, by `make tutorials` for all
    <!-- elsewhere: WHAT: WHERE -->    it needs WHAT (cluster, gpu, root, minutes); WHERE, a test or a make target, does the same

and <!-- file: NAME --> above another block writes it to that file first. In what comes of a command a line `...` stands for any lines, `...`
within one for any text, and every figure for any figure.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("console", "sh", "bash", "shell", "shell-session")
NEEDS = ("cluster", "gpu", "root", "minutes")
LINKED = (".venv", "examples", "tests", "crds", "charts", "deploy", "Makefile")

BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*?) -->\n+)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\b[0-9a-f]{8}\b|\d+(?:[.,:/]\d+)*")
END = "\x1e"


@dataclass(frozen=True)
class Command:
    """What is typed, and the lines that come of it; none: they are not told."""

    typed: str
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_session(self) -> bool:
        return self.language in SHELLS

    @property
    def commands(self) -> tuple[Command, ...]:
        return tuple(parse(self.text))


def pages() -> list[str]:
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """Its fenced blocks, in their order."""
    text = (ROOT / page).read_text()
    return [
        Block(page, text.count("\n", 0, found.start("language")) + 1, found["language"], found["mark"] or "", found["text"])
        for found in BLOCK.finditer(text)
    ]


def parse(text: str) -> Iterator[Command]:
    """Raises ValueError for a session that begins with something else than a command."""
    typed: list[str] = []
    output: list[str] = []
    for line in text.splitlines():
        if typed and typed[-1].endswith("\\") and not output:
            typed.append(line)
        elif line.startswith("$ "):
            if typed:
                yield Command("\n".join(typed), tuple(output))
            typed, output = [line.removeprefix("$ ")], []
        elif typed:
            output.append(line)
        else:
            raise ValueError(f"a session begins with a command after '$ ', not with {line!r}")
    if typed:
        yield Command("\n".join(typed), tuple(output))


def elsewhere(mark: str) -> tuple[str, str] | None:
    """(what is needed, what does the same) of a mark; None if it says nothing of that."""
    found = re.fullmatch(r"elsewhere: (\w+): (.+)", mark)
    return (found[1], found[2]) if found else None


def exists(where: str) -> bool:
    """Whether there is that test (file or file::function) or make target."""
    if where.startswith("make "):
        return re.search(rf"^{re.escape(where.split()[1])}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    file, _, function = where.partition("::")
    path = ROOT / file
    return path.exists() and (not function or re.search(rf"^(async )?def {function}\(", path.read_text(), re.MULTILINE) is not None)


def agrees(output: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether it came out as the page tells it."""
    said = "".join(f"{FIGURE.sub('#', line.rstrip())}\n" for line in output)
    return re.fullmatch("".join(map(pattern, expected)), said) is not None


def pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(FIGURE.sub("#", part)) for part in line.rstrip().split("...")) + r"\n"


def type_out(sessions: Sequence[Block], directory: Path, seconds: float = 300) -> list[str]:
    """Types the commands of a page, all into one shell; what went otherwise than the page says."""
    for name in LINKED:
        (directory / name).symlink_to(ROOT / name)
    for block in (each for page in {each.page for each in sessions} for each in blocks(page)):
        if block.mark.startswith("file: "):
            (directory / block.mark.removeprefix("file: ")).write_text(block.text)
    commands = [(block, command) for block in sessions for command in block.commands]
    script = "".join(f"{command.typed}\n__code=$?; printf '{END}%d\\n' $__code; (exit $__code)\n" for _, command in commands)
    return list(differences(commands, said_by(script, directory, seconds)))


def said_by(script: str, directory: Path, seconds: float) -> str:
    """What a shell and all that it starts say; whatever still runs in the end is ended."""
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=directory,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            return shell.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGTERM)  # `kubetune run` ends its own
            return f"{shell.communicate()[0]}\n(ended after {seconds:g} s)\n"


def differences(commands: Sequence[tuple[Block, Command]], said: str) -> Iterator[str]:
    """One for each command that failed, or of which something else came than its page says."""
    parts = re.split(rf"{END}(\d+)\n", said)
    outputs, codes = parts[0::2], [int(code) for code in parts[1::2]]
    for index, (block, command) in enumerate(commands):
        if index >= len(codes):
            yield f"{block}: the shell ended before $ {command.typed}\n{outputs[-1]}"
            return
        asked = index + 1 < len(commands) and commands[index + 1][1].typed == "echo $?"
        if codes[index] and not asked:
            yield f"{block}: $ {command.typed}\nended with {codes[index]}:\n{outputs[index]}"
        elif command.output and not agrees(outputs[index].splitlines(), command.output):
            yield f"{block}: $ {command.typed}\nsaid:\n{outputs[index]}"
