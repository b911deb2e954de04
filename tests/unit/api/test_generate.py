from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def elsewhere(generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    return tmp_path


def test_the_repository_is_up_to_date(generate: ModuleType):
    assert generate.main(["--check"]) == 0


def test_what_was_written_passes_the_check(generate: ModuleType, elsewhere: Path):
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert len(list((elsewhere / "crds").iterdir())) == 2


@pytest.mark.parametrize("spoil", ["changed", "missing", "untracked"])
def test_the_check_names_every_difference(generate: ModuleType, elsewhere: Path, spoil: str, capsys: pytest.CaptureFixture[str]):
    generate.main([])
    path = elsewhere / "crds" / "kubetune.dev_sftjobs.yaml"
    if spoil == "changed":
        path.write_text(path.read_text() + "#\n")
    elif spoil == "missing":
        path.unlink()
    else:
        path = path.with_name("kubetune.dev_old.yaml")
        path.write_text("")
    assert generate.main(["--check"]) == 1
    assert str(path.relative_to(elsewhere)) in capsys.readouterr().err


def test_the_check_of_nothing_generated_yet(generate: ModuleType, elsewhere: Path):
    assert not (elsewhere / "crds").exists()
    assert generate.main(["--check"]) == 1
