"""What is put before a backend's script on every rank, as a process of its own, without torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kubetune_trainer.launch.command import CPU_PATCH_ENV, LOG_DIR_ENV, PLUGINS_ENV
from kubetune_trainer.launch.death import PARENT_ENV
from kubetune_trainer.launch.evidence import RankError


def work(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(script)
    ours = {PARENT_ENV: str(os.getpid()), CPU_PATCH_ENV: "0", PLUGINS_ENV: "{}", LOG_DIR_ENV: str(tmp_path / "log"), "RANK": "3"}
    command = [sys.executable, "-m", "kubetune_trainer.launch.worker", str(tmp_path / "script.py"), "--flag"]
    return subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=False)


def test_the_script_collects_garbage_and_what_was_imported_before_it_is_left_alone(tmp_path: Path) -> None:
    done = work(tmp_path, "import gc, json, sys; print(json.dumps([gc.isenabled(), gc.get_freeze_count() > 1000, sys.argv[1:]]))")
    assert json.loads(done.stdout) == [True, True, ["--flag"]], done.stderr


def test_the_scripts_exception_is_noted(tmp_path: Path) -> None:
    done = work(tmp_path, "raise ValueError('no good')")
    assert done.returncode == 1
    (error,) = RankError.read_all(tmp_path / "log")
    assert (error.rank, error.message) == (3, "ValueError: no good")
