"""The limits and their variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubetune_trainer.data.settings import PREFIX, DataSettings
from kubetune_trainer.errors import ConfigurationError

DOCUMENT = Path(__file__).parents[4] / "docs" / "data.md"


def test_defaults_and_variables():
    assert DataSettings.from_environment({"PATH": "/bin"}) == DataSettings()
    given = {"KUBETUNE_DATA_WARN_DROPPED_PERCENT": "2.5", "KUBETUNE_DATA_CACHE": "/cache", "KUBETUNE_DATA_CACHE_GIB": "0.5"}
    settings = DataSettings.from_environment(given)

    assert (settings.warn_dropped_percent, settings.cache, settings.cache_bytes) == (2.5, "/cache", 2**29)
    assert settings.refuse_dropped_percent == DataSettings().refuse_dropped_percent


@pytest.mark.parametrize("value", ["101", "-1", "much", "nan"])
def test_a_bad_value_names_its_variable(value: str):
    with pytest.raises(ConfigurationError, match="KUBETUNE_DATA_REFUSE_LOSS_PERCENT") as caught:
        DataSettings.from_environment({"KUBETUNE_DATA_REFUSE_LOSS_PERCENT": value})
    assert caught.value.value == value


def test_a_misspelt_variable_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean KUBETUNE_DATA_CACHE_GIB"):
        DataSettings.from_environment({"KUBETUNE_DATA_CACHE_GB": "1"})


def test_the_document_has_every_variable_with_its_default():
    text = DOCUMENT.read_text()
    for name, field in DataSettings.model_fields.items():
        default = "" if field.default is None else f"{field.default:g}"
        assert f"| `{PREFIX}{name.upper()}` | {default} |" in text
