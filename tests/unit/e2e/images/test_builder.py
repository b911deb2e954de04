from pathlib import Path

from e2e.images.builder import copy_inputs
from e2e.images.catalogue import OPERATOR, ROOT, files


def test_the_context_is_what_the_key_speaks_of_with_one_time_for_all(tmp_path: Path):
    copy_inputs(OPERATOR, tmp_path)
    copied = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert {each.relative_to(tmp_path) for each in copied} == {each.relative_to(ROOT) for each in files(OPERATOR.inputs)}
    assert {each.stat().st_mtime for each in (tmp_path, *tmp_path.rglob("*"))} == {0}, "a clone of today is no other content"
