"""What is in the images that the pods run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from e2e.images.builder import LAYOUT, ensure
from e2e.images.catalogue import BASE, OPERATOR, TRAINER_CPU, Image

pytestmark = pytest.mark.e2e
MEGABYTE = 1e6
COMPILERS = {"cc", "gcc", "c++", "g++", "clang", "ld", "as", "make", "nvcc", "rustc", "go"}


@pytest.fixture(scope="module", params=[OPERATOR, TRAINER_CPU], ids=lambda image: image.name)
def image(request: pytest.FixtureRequest) -> Image:
    ensure([request.param])
    return request.param


def layers(image: Image) -> list[Path]:
    return [LAYOUT.blob(layer) for layer in LAYOUT.manifest(image.key)["layers"]]


def tar(layer: Path, *arguments: str) -> str:
    return subprocess.check_output(["tar", "--zstd", f"--file={layer}", *arguments], text=True)


def test_it_is_not_root_and_says_what_it_is(image: Image):
    config = LAYOUT.config(image.key)["config"]
    assert config["User"] == "1000:1000"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == image.tag
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_has_no_compiler(image: Image):
    programs = {
        Path(name).name
        for layer in layers(image)
        for name in tar(layer, "--list").splitlines()
        if Path(name).parent.name in ("bin", "sbin")
    }
    assert "python" in programs
    assert programs & COMPILERS == set()


def test_it_lists_what_it_is_made_of(image: Image):
    last = layers(image)[-1]
    (name,) = (each for each in tar(last, "--list").splitlines() if each.endswith(".cdx.json"))
    bill = json.loads(tar(last, "--extract", "--to-stdout", name))
    pins = image.dockerfile.parent.parent / "requirements" / f"{Path(name).name.removesuffix('.cdx.json')}.txt"
    wanted = {line.split("==")[0] for line in pins.read_text().splitlines() if ";" not in line}
    listed = {component["name"].lower().replace("_", "-").replace(".", "-") for component in bill["components"]}
    assert wanted <= listed | {"kubetune"}


def test_the_operator_adds_at_most_150_megabytes_to_its_base():
    ensure([OPERATOR])
    own = set(layers(OPERATOR)) - set(layers(BASE))
    unpacked = sum(int(line.split()[2]) for layer in own for line in tar(layer, "--list", "--verbose").splitlines())
    assert unpacked < 150 * MEGABYTE
