from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kubetune.cli.app import kubetune
from kubetune.cli.completion import for_kubectl

BIN = Path(sys.executable).parent


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    result = CliRunner().invoke(kubetune, ["completion", shell])
    assert result.exit_code == 0
    assert "_KUBETUNE_COMPLETE" in result.stdout


def test_bash_completes_commands_and_options() -> None:
    script = subprocess.run([BIN / "kubetune", "completion", "bash"], capture_output=True, text=True, check=True).stdout
    ask = script + '\nCOMP_WORDS=(kubetune val); COMP_CWORD=1; _kubetune_completion kubetune; echo "${COMPREPLY[@]}"'
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "validate", done.stderr


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["val"], ["validate\tCheck job files, folders, standard input.", ":4"]),
        (["validate", "-o", "sa"], ["sarif", ":4"]),
        (["validate", "jo"], [":0"]),  # files are the shell's own
        (
            ["estimate", "--gpu"],
            ["--gpu-memory\tMemory of one GPU, as 80Gi or 80G: does it fit, and which maxTokensPerGpu does?", ":4"],
        ),
    ],
)
def test_kubectl_is_answered_in_cobras_words(words: list[str], lines: list[str]) -> None:
    assert for_kubectl(words).splitlines() == lines


def test_without_a_word_all_commands_are_offered() -> None:
    offered = {line.split("\t")[0] for line in for_kubectl([]).splitlines()}
    assert {"run", "validate", "estimate", "init", "explain", "render", "crds", "completion", ":4"} <= offered


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
def test_kubectl_finds_the_plug_in_and_completes_it() -> None:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": "/nonexistent"}

    def kubectl(*words: str) -> str:
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=True, env=environment)
        return done.stdout

    assert kubectl("kubetune", "--help").startswith("Usage: kubectl kubetune ")
    assert "validate\t" in kubectl("__complete", "kubetune", "val")


def test_every_command_has_examples_and_says_what_its_exit_codes_mean() -> None:
    with click.Context(kubetune) as context:
        for name in ("validate", "estimate", "init", "explain", "render"):
            text = kubetune.get_command(context, name).get_help(context)  # type: ignore[union-attr]
            assert f"kubetune {name}" in text, name
            assert "Examples:" in text, name
            assert "Exit codes:" in text, name
