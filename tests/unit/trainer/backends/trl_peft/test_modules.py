from __future__ import annotations

from pathlib import Path

import pytest

from kubetune_trainer.backends.trl_peft.modules import adapted_modules
from kubetune_trainer.errors import ConfigurationError

LINEAR = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


@pytest.mark.parametrize("model", ["tiny_model", "tiny_tied_model"])
def test_all_linear_layers_but_the_output_layer(model: str, request: pytest.FixtureRequest) -> None:
    assert adapted_modules(request.getfixturevalue(model), None) == LINEAR


def test_names_and_ends_of_names_are_taken_as_they_are(tiny_model: Path) -> None:
    for wanted in (["q_proj", "v_proj"], ["self_attn.q_proj"], ["model.layers.1.mlp.up_proj"]):
        assert adapted_modules(tiny_model, wanted) == wanted


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (["q_proj", "c_attn"], "names 'c_attn', which fits no linear layer; there are down_proj, gate_proj"),
        (["roj"], "names 'roj', which fits no linear layer"),
        (["embed_tokens"], "names 'embed_tokens', which fits no linear layer"),
        (["q_proj", "lm_head"], "names 'lm_head', the output layer, whose adapter trl would never train; leave it out"),
    ],
)
def test_what_would_not_be_trained_is_refused(tiny_model: Path, wanted: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        adapted_modules(tiny_model, wanted)
    assert caught.value.field == "target_modules"
    assert problem in str(caught.value)
