from __future__ import annotations

from pathlib import Path

import pytest

from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.storage.settings import CACHE_ENV, PART_ENV, PATIENCE_ENV, StoreSettings


def test_defaults():
    settings = StoreSettings.from_environment({})
    assert settings.cache == Path.home() / ".cache" / "kubetune" / "store"
    assert (settings.patience_seconds, settings.part_bytes) == (600, 16 * 2**20)


def test_given():
    settings = StoreSettings.from_environment({CACHE_ENV: "/fast/disk", PATIENCE_ENV: "2.5", PART_ENV: "64"})
    assert settings == StoreSettings(Path("/fast/disk"), 2.5, 64 * 2**20)


@pytest.mark.parametrize(("name", "value"), [(PART_ENV, "4"), (PART_ENV, "many"), (PATIENCE_ENV, "-1"), (PATIENCE_ENV, "inf")])
def test_refused(name: str, value: str):
    with pytest.raises(ConfigurationError, match=name) as caught:
        StoreSettings.from_environment({name: value})
    assert caught.value.value == value
