from __future__ import annotations

from pathlib import Path

import pytest

from kubetune.cli.documents import read_documents, read_job
from kubetune.cli.errors import UserError

JOB = "apiVersion: kubetune.dev/v1alpha1\nkind: SFTJob\nmetadata: {name: a}\n"
CONFIGMAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: data}\ndata: {a.jsonl: x}\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> str:
        file = tmp_path / "job.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(file)

    return write


def refused(file: str) -> str:
    with pytest.raises(UserError) as error:
        read_job(file)
    assert error.value.exit_code == 2
    return str(error.value.message)


def test_numbers_are_kubectls_numbers(write) -> None:
    assert read_documents(write("a: 2e-5"))[0] == {"a": 2e-5}


def test_a_syntax_error_names_file_line_and_remedy(write) -> None:
    file = write("kind: SFTJob\nspec: {a: [1\nb: 2\n")
    message = refused(file)
    assert message.startswith(f"{file}, line 3: ")
    assert "correct the YAML there" in message


def test_a_tab_is_named(write) -> None:
    assert "line 2" in refused(write("spec:\n\tnodes: 1\n"))


def test_a_key_given_twice_is_refused_at_its_second_line(write) -> None:
    message = refused(write("spec:\n  nodes: 1\n  nodes: 2\n"))
    assert "line 3: the key 'nodes' is there twice" in message


def test_binary_files_and_missing_files(write, tmp_path: Path) -> None:
    assert "cannot be read" in refused(write(b"\xff\xfe\x00\x01"))
    assert "is no YAML" in refused(write("a: \x01"))
    assert "does not exist; check the path" in refused(str(tmp_path / "nowhere.yaml"))
    assert "cannot be read" in refused(str(tmp_path))


@pytest.mark.parametrize("text", ["", "---\n---\n", "# nothing\n"])
def test_an_empty_file(write, text: str) -> None:
    assert "is empty; write an SFTJob or OSFTJob" in refused(write(text))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "42\n"])
def test_what_is_no_mapping(write, text: str) -> None:
    assert "is not a job; write apiVersion, kind, metadata and spec" in refused(write(text))


def test_one_job_with_its_configmaps(write) -> None:
    file = read_job(write(CONFIGMAP + "---\n" + JOB))
    assert file.job["metadata"]["name"] == "a"
    assert [c["metadata"]["name"] for c in file.configmaps] == ["data"]


def test_two_jobs_are_refused_by_name(write) -> None:
    assert "holds 2 jobs (a, a); put each into a file of its own" in refused(write(JOB + "---\n" + JOB))


def test_no_job_at_all(write) -> None:
    assert "holds 0 jobs (none)" in refused(write(CONFIGMAP))


def test_other_kinds_beside_the_job_are_refused(write) -> None:
    assert "also holds Secret; leave only a job and its ConfigMaps" in refused(
        write(JOB + "---\nkind: Secret\nmetadata: {name: s}\n")
    )


def test_a_misspelt_kind_is_left_to_the_models(write) -> None:
    assert read_job(write("kind: SFTjob\n")).job == {"kind": "SFTjob"}
