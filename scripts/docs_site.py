"""MkDocs' hook: what the site has beside docs/. A link of a page means the same on the site as in the clone."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "readme.md",
}
"""Documents of the root, and the pages that they become."""

FOLDERS = ("examples", "crds", "deploy")
"""Their files are served as they are."""

LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[#)])")


def on_files(files: Files, config: Any) -> Files:
    """The root's documents as pages, and the files that pages link to."""
    for document, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / document).read_text()))
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))):
        if path.is_file() and "__pycache__" not in path.parts:
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the clone become links of the site."""
    return LINK.sub(lambda link: placed(link[1], page.file.src_uri), markdown)


def placed(target: str, page: str) -> str:
    """Where a link of `page` leads to on the site; one that stays below docs/ is as it was."""
    if target.startswith("/"):
        return target
    originals = {there: here for here, there in PAGES.items()}
    at = originals.get(page, f"docs/{page}")
    aimed = posixpath.normpath(posixpath.join(posixpath.dirname(at), target))
    to = PAGES.get(aimed, "index.md" if aimed == "docs" else aimed.removeprefix("docs/"))
    return posixpath.relpath(to, posixpath.dirname(page) or ".")
