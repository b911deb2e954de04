"""`python -m kubetune_trainer.training_hub script.py`, from outside, against python itself. Nothing here trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kubetune_trainer
from kubetune_trainer import training_hub
from kubetune_trainer.training_hub.__main__ import command

RUNNER = ["-m", "kubetune_trainer.training_hub"]


def python(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, input=stdin, capture_output=True, text=True, check=False)


SCRIPT = """
import sys
import beside
from package.inner import where

class Own(Exception):
    pass

print(__name__, __file__, __package__, sys.argv, sys.path[0], beside.NAME, where, sys.modules["__main__"].Own is Own)
print(sys.flags.optimize, sys.flags.utf8_mode, __spec__)
if sys.argv[1:] == ["raise"]:
    raise Own("as it is")
if sys.argv[1:] == ["kill"]:
    import os, signal
    os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1:]:
    sys.exit(sys.argv[1] if not sys.argv[1].isdigit() else int(sys.argv[1]))
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A script with a module, and a package that imports relatively, next to it."""
    directory = tmp_path / "scripts"
    (directory / "package").mkdir(parents=True)
    (directory / "script.py").write_text(SCRIPT)
    (directory / "beside.py").write_text("NAME = 'beside'\n")
    (directory / "package" / "__init__.py").write_text("")
    (directory / "package" / "inner.py").write_text("from .other import where\n")
    (directory / "package" / "other.py").write_text("where = __name__\n")
    return directory


@pytest.mark.parametrize("arguments", [[], ["7"], ["words"], ["raise"], ["kill"], ["0", "--flag", "a b"]])
@pytest.mark.parametrize("options", [[], ["-O", "-X", "utf8"]], ids=["plain", "options"])
def test_a_script_runs_as_python_itself_runs_it(arguments: list[str], options: list[str], scripts: Path, tmp_path: Path) -> None:
    ours = python(*options, *RUNNER, "scripts/script.py", *arguments, cwd=tmp_path)
    plain = python(*options, "scripts/script.py", *arguments, cwd=tmp_path)
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert ours.stdout


def test_a_module_a_missing_script_and_standard_input_too(scripts: Path) -> None:
    for arguments in (["-m", "package.inner"], ["none.py"], ["-"]):
        ours, plain = (python(*before, *arguments, cwd=scripts, stdin="print('read')") for before in (RUNNER, []))
        assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)


IMPORTS = """
import multiprocessing, subprocess, sys, training_hub
from training_hub import *
from training_hub import Algorithm, AlgorithmRegistry, Backend, SFTAlgorithm, create_algorithm, osft, sft
import kubetune_trainer

def child(_):
    from training_hub import sft as theirs
    return theirs.__module__

if __name__ == "__main__":
    assert sft is kubetune_trainer.sft and osft is kubetune_trainer.osft
    assert AlgorithmRegistry is kubetune_trainer.AlgorithmRegistry
    print(multiprocessing.get_context("spawn").Pool(1).map(child, [0]))
    print(subprocess.run([sys.executable, "-c", "from training_hub import sft; print(sft.__module__)"], text=True, stdout=-1).stdout)
    try:
        from training_hub import estimate
    except ImportError as error:
        print(error)
"""


def test_the_scripts_training_hub_is_ours_in_every_process(scripts: Path) -> None:
    (scripts / "imports.py").write_text(IMPORTS)
    ended = python(*RUNNER, "imports.py", cwd=scripts)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("kubetune_trainer.documented") == 2
    assert "cannot import name 'estimate' from 'training_hub'" in ended.stdout


OWN = """
from training_hub import Algorithm, AlgorithmRegistry, Backend, create_algorithm

class Mine(Algorithm):
    def __init__(self, backend, **kwargs):
        self.backend = backend
    def train(self, **kwargs):
        return self.backend.execute_training(kwargs)
    def get_required_params(self):
        return {"x": int}
    def get_optional_params(self):
        return {}

class Twice(Backend):
    def execute_training(self, algorithm_params):
        return algorithm_params["x"] * 2

AlgorithmRegistry.register_algorithm("mine", Mine)
AlgorithmRegistry.register_backend("mine", "twice", Twice)
print(AlgorithmRegistry.list_algorithms(), AlgorithmRegistry.list_backends("mine"))
print(create_algorithm(algorithm_name="mine", backend_name="twice").train(x=21))
try:
    Backend()
except TypeError as error:
    print(error)
"""


def test_a_scripts_own_algorithm_and_backend(scripts: Path) -> None:
    (scripts / "own.py").write_text(OWN)
    ended = python(*RUNNER, "own.py", cwd=scripts)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[:2] == ["['lora_sft', 'osft', 'sft', 'mine'] ['twice']", "42"]
    assert "abstract" in lines[2]


def test_usage_and_what_cannot_work(tmp_path: Path) -> None:
    help_, nothing = python(*RUNNER, "--help", cwd=tmp_path), python(*RUNNER, cwd=tmp_path)
    assert (help_.returncode, nothing.returncode) == (0, 2)
    assert "script.py" in help_.stdout
    assert nothing.stderr == help_.stdout
    isolated = python("-I", *RUNNER, "script.py", cwd=tmp_path)
    assert isolated.returncode == 2
    assert "ignore PYTHONPATH" in isolated.stderr


def test_the_path_that_was_given_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"/one{os.pathsep}/two")
    ended = python(*RUNNER, "-c", "import sys; print(sys.path[1:4])", cwd=tmp_path)
    assert ended.stdout.strip() == str([str(Path(training_hub.__file__).parent / "path"), "/one", "/two"])


def test_the_interpreters_options_are_kept() -> None:
    original = ["python3", "-u", "-X", "dev", "-m", "kubetune_trainer.training_hub", "-m", "x", "-m"]
    assert command(original, ["-m", "x", "-m"]) == [sys.executable, "-u", "-X", "dev", "-m", "x", "-m"]


def test_its_names_are_ours() -> None:
    with pytest.raises(AttributeError):
        _ = training_hub.__version__
    for name in ("sft", "osft", "create_algorithm", "AlgorithmRegistry"):
        assert getattr(training_hub, name) is getattr(kubetune_trainer, name)
