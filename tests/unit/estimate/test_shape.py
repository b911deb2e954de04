from __future__ import annotations

import pytest
from model_configs import LLAMA_8B, LLAMA_8B_PARAMETERS, SMOLLM2, SMOLLM2_PARAMETERS, of_family

from kubetune.estimate import Tensor, UnknownModelError, shape_of


@pytest.mark.parametrize(("config", "parameters"), [(LLAMA_8B, LLAMA_8B_PARAMETERS), (SMOLLM2, SMOLLM2_PARAMETERS)])
def test_real_models_have_the_parameters_that_they_are_known_for(config: dict, parameters: int) -> None:
    assert shape_of(config).parameters == parameters


def test_blocks_and_what_is_outside_of_them_make_the_model() -> None:
    shape = shape_of(LLAMA_8B)
    blocks = shape.blocks()
    assert len(blocks) == 32
    assert sum(each.size for block in blocks.values() for each in block) + shape.outside == shape.parameters
    assert shape.outside == 2 * 128256 * 4096 + 4096
    assert shape.shared_head == 0
    assert shape_of(SMOLLM2).shared_head == 49152 * 576


def test_the_files_own_tensors_count_for_any_model() -> None:
    config = of_family("llama") | {"model_type": "novel", "architectures": ["NovelForCausalLM"]}
    with pytest.raises(UnknownModelError, match=r"model_type is 'novel'.*safetensors"):
        shape_of(config)
    shape = shape_of(config, [Tensor("transformer.h.0.w", (3, 5)), Tensor("lm_head.weight", (2, 4))])
    assert (shape.parameters, shape.outside, shape.largest_block) == (23, 8, 15)
    assert "headers" in shape.origin


def test_experts_are_not_guessed() -> None:
    with pytest.raises(UnknownModelError, match="directory"):
        shape_of(of_family("qwen3", num_experts=8))


@pytest.mark.parametrize(
    ("change", "said"), [({"hidden_size": None}, "hidden_size is None"), ({"vocab_size": "x"}, "vocab_size is 'x'")]
)
def test_a_config_without_a_number_names_it(change: dict, said: str) -> None:
    with pytest.raises(UnknownModelError, match=said):
        shape_of(LLAMA_8B | change)


def test_a_text_model_within_another_is_found() -> None:
    assert shape_of({"architectures": ["X"], "text_config": LLAMA_8B}).parameters == LLAMA_8B_PARAMETERS


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("torch.float16", 2), ("bfloat16", 2), (None, 2)])
def test_the_files_type(dtype: str | None, size: int) -> None:
    assert shape_of(LLAMA_8B | {"torch_dtype": dtype}).stored_bytes == size
