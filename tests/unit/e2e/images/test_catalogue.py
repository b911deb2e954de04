from dataclasses import replace
from pathlib import Path

import pytest

from e2e.images import catalogue
from e2e.images.catalogue import BASE, IMAGES, OPERATOR, TRAINER, TRAINER_CPU, files


def test_an_image_has_one_key_for_one_content():
    assert OPERATOR.key == replace(OPERATOR).key
    assert len({image.key for image in IMAGES.values()}) == len(IMAGES)


@pytest.mark.parametrize("image", [OPERATOR, TRAINER, TRAINER_CPU])
def test_whatever_the_dockerfile_copies_goes_into_the_key(image: catalogue.Image):
    copied = {
        catalogue.ROOT / source
        for line in image.dockerfile.read_text().splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    }
    assert copied <= set(image.inputs)


def test_a_changed_file_changes_the_key(tmp_path: Path):
    before = BASE.key
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(BASE.dockerfile.read_text() + "# more\n")
    assert replace(BASE, dockerfile=dockerfile).key != before


def test_a_new_base_makes_new_images():
    assert all(image.recipe == BASE.key for image in (OPERATOR, TRAINER, TRAINER_CPU))


def test_an_image_without_inputs_depends_on_no_file_of_the_repository():
    assert files(()) == []


def test_bytecode_is_no_content():
    listed = files((catalogue.ROOT / "operator/src",))
    assert listed
    assert not [file for file in listed if file.suffix == ".pyc"]
