from pathlib import Path

import pytest

from e2e import marked

MARKS = ("<!-- begin -->", "<!-- end -->")


def test_what_is_between_the_marks_is_replaced_and_nothing_else(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin -->\nold\n<!-- end -->\nafter\n")
    for text in ("new", "newer"):
        marked.write(page, MARKS, text)
        assert page.read_text() == f"before\n<!-- begin -->\n{text}\n<!-- end -->\nafter\n"


@pytest.mark.parametrize("content", ["", "<!-- begin -->\n", "<!-- end -->\n<!-- begin -->\n"])
def test_a_page_without_them_is_left_alone(tmp_path: Path, content: str):
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(ValueError, match=r"has no <!-- begin -->"):
        marked.write(page, MARKS, "new")
    assert page.read_text() == content
