"""The site of docs/: links mean the same there as in the clone, it asks no other host, and what does not hold fails the build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import docs_site
import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).resolve().parents[3]
LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^"'>]*""")


def built(directory: Path, **changed: Any) -> Path:
    """The site as `make docs` builds it. Raises Abort where that fails."""
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(directory))
    config.update(changed)
    build(config)
    return directory


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")


def test_no_page_loads_anything_from_another_host(tmp_path: Path) -> None:
    site = built(tmp_path)
    pages = [page for page in site.rglob("*.html") if "examples" not in page.parts]
    assert len(pages) > 50
    assert {str(page): LOADED.findall(page.read_text()) for page in pages if LOADED.search(page.read_text())} == {}
    assert (site / "examples" / "minimal" / "osft.yaml").read_text() == (ROOT / "examples" / "minimal" / "osft.yaml").read_text()


def small(directory: Path, text: str) -> Path:
    """A site of two pages, the first of which says that, and of what the README links to."""
    pages = directory / "docs"
    for target in set(re.findall(r"\]\(docs/([\w/-]+\.md)", (ROOT / "README.md").read_text())):
        (pages / target).parent.mkdir(parents=True, exist_ok=True)
        (pages / target).write_text("# C\n")
    (pages / "index.md").write_text(f"# A\n\n{text}\n")
    (pages / "b.md").write_text("# B\n\n[a](index.md#a), [e](../examples/minimal/osft.yaml)\n")
    return built(directory / "site", docs_dir=str(pages), nav=None)


def test_links_that_lead_somewhere(tmp_path: Path) -> None:
    assert 'href="b.html#b"' in (small(tmp_path, "[a](b.md#b), [c](../CHANGELOG.md)") / "index.html").read_text()


@pytest.mark.parametrize(
    "text",
    ["[a](none.md)", "[a](b.md#none)", "[a](../examples/none.yaml)", "[a](/b.md)"],
)
def test_a_link_that_leads_nowhere_fails_the_build(text: str, tmp_path: Path) -> None:
    with pytest.raises(Abort):
        small(tmp_path, text)


@pytest.mark.parametrize(
    ("target", "page", "placed"),
    [
        ("helm.md", "index.md", "helm.md"),
        ("../helm.md", "how-to/index.md", "../helm.md"),
        ("../examples/a.yaml", "storage.md", "examples/a.yaml"),
        ("../../examples/a.yaml", "tutorials/sft.md", "../examples/a.yaml"),
        ("../ARCHITECTURE.md", "index.md", "architecture.md"),
        ("docs/helm.md", "architecture.md", "helm.md"),
        ("CHANGELOG.md", "contributing.md", "changelog.md"),
        ("architecture.md", "index.md", "architecture.md"),
        ("../README.md", "cluster.md", "readme.md"),
        ("docs/", "readme.md", "index.md"),
    ],
)
def test_where_a_link_leads_to(target: str, page: str, placed: str) -> None:
    assert docs_site.placed(target, page) == placed
