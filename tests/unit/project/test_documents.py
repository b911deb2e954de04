"""What the documents say of the tree must be so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHORT = {"O": "operator/src/kubetune", "T": "trainer_image/src/kubetune_trainer"}
SOURCES = sorted(p for half in SHORT.values() for p in (ROOT / half).rglob("*.py"))


def named_files(document: str) -> list[str]:
    quoted = re.findall(r"`([\w./-]+\.(?:py|yaml|md))`", (ROOT / document).read_text())
    return [re.sub(r"^([OT])/", lambda m: SHORT[m[1]] + "/", name) for name in quoted]


PAGES = [
    str(path.relative_to(ROOT))
    for folder in ("adr", "how-to", "operations", "tutorials")
    for path in (ROOT / "docs" / folder).glob("*.md")
]


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", *sorted(PAGES)])
def test_every_file_that_a_document_names_exists(document: str) -> None:
    missing = [
        name for name in named_files(document) if not (ROOT / name).exists() and "/" in name and not name.startswith("backends/")
    ]
    assert missing == []


def test_the_architecture_names_most_of_the_source() -> None:
    named = set(named_files("ARCHITECTURE.md"))
    assert len(named & {str(p.relative_to(ROOT)) for p in SOURCES}) > 70


def test_no_source_file_is_longer_than_four_hundred_lines() -> None:
    long = [str(p.relative_to(ROOT)) for p in SOURCES if len(p.read_text().splitlines()) > 400]
    assert long == []


def test_the_folder_operator_is_no_package() -> None:
    # with the clone on PYTHONPATH it would shadow the standard library's `operator`
    assert not (ROOT / "operator" / "__init__.py").exists()
