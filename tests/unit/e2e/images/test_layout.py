import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from e2e.images.layout import REF, Layout


def put(folder: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layers = [put(tmp_path, b"first layer"), put(tmp_path, b"second layer")]
    config = put(tmp_path, json.dumps({"config": {"User": "1000:1000"}}).encode())
    manifest = put(tmp_path, json.dumps({"config": config, "layers": layers}).encode())
    index = {"manifests": [{**manifest, "annotations": {REF: "image-1"}}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    return Layout(tmp_path)


def names(layout: Layout, *present: str) -> list[str]:
    stream = io.BytesIO()
    layout.write("image-1", "localhost/image:1", stream, present)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        assert index["manifests"][0]["annotations"] == {"io.containerd.image.name": "localhost/image:1"}
        return tar.getnames()


def test_an_image_is_found_by_its_reference(layout: Layout):
    assert layout.config("image-1")["config"]["User"] == "1000:1000"
    assert layout.find("image-2") is None
    with pytest.raises(KeyError, match="image-2 is not in"):
        layout.manifest("image-2")


def test_a_folder_that_is_not_there_has_no_image(tmp_path: Path):
    assert Layout(tmp_path / "none").find("image-1") is None


def test_all_blobs_are_sent_to_whoever_has_none(layout: Layout):
    assert len([name for name in names(layout) if name.startswith("blobs/")]) == 4


def test_a_blob_that_is_there_already_is_not_sent(layout: Layout):
    first = layout.manifest("image-1")["layers"][0]["digest"]
    sent = names(layout, first)
    assert f"blobs/{first.replace(':', '/')}" not in sent
    assert len([name for name in sent if name.startswith("blobs/")]) == 3
