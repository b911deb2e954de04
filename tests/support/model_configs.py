"""config.json of models, as the Hub has them, cut to what decides about their shape."""

from __future__ import annotations

from typing import Any

LLAMA_8B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
LLAMA_8B_PARAMETERS = 8_030_261_248

SMOLLM2: dict[str, Any] = LLAMA_8B | {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
SMOLLM2_PARAMETERS = 134_515_008

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 320,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}


def of_family(family: str, **more: Any) -> dict[str, Any]:
    """A small model of a family."""
    names = {"llama": "Llama", "mistral": "Mistral", "granite": "Granite", "phi3": "Phi3", "gemma": "Gemma", "gemma2": "Gemma2"}
    name = names.get(family, family.capitalize())
    return SMALL | {"model_type": family, "architectures": [f"{name}ForCausalLM"]} | more


VARIANTS: dict[str, dict[str, Any]] = {
    "llama": of_family("llama"),
    "llama, tied": of_family("llama", tie_word_embeddings=True),
    "llama, biased": of_family("llama", attention_bias=True, mlp_bias=True),
    "mistral": of_family("mistral", head_dim=32),
    "granite": of_family("granite"),
    "qwen2": of_family("qwen2"),
    "qwen3": of_family("qwen3", head_dim=32),
    "phi3": of_family("phi3"),
    "gemma": of_family("gemma", head_dim=32),
    "gemma2": of_family("gemma2", head_dim=32),
}
