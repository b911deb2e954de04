"""A model's weights by name and shape: from the headers of its safetensors files, or from its config.json.

The families are those whose layers are known here, after transformers' own modules (transformers/models/*/modeling_*.py): a test
compares them name by name. Any other model needs its weights' headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

FAMILIES = ("llama", "mistral", "granite", "qwen2", "qwen3", "phi3", "gemma", "gemma2")

DTYPE_BYTES = {"float64": 8, "float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}


class UnknownModelError(ValueError):
    """The config does not tell the model's shape; the message says what to give instead."""


@dataclass(frozen=True)
class Tensor:
    """One weight."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def layer(self) -> int | None:
        """The number of the transformer block that it is part of; None: embeddings, head, last norm."""
        after = self.name.split(".layers.")[1:] or self.name.split(".h.")[1:]
        number = after[0].split(".")[0] if after else ""
        return int(number) if number.isdigit() else None


@dataclass(frozen=True)
class ModelShape:
    """What the estimate needs to know of a model."""

    architecture: str
    tensors: tuple[Tensor, ...]
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_positions: int | None
    stored_bytes: int
    """Of one parameter in the model's files: 2 for bfloat16."""

    origin: str
    """Whether names and shapes are the files' own, or follow from config.json."""

    @property
    def parameters(self) -> int:
        return sum(each.size for each in self.tensors)

    @property
    def outside(self) -> int:
        """Parameters outside of the transformer blocks: embeddings, head, last norm."""
        return sum(each.size for each in self.tensors if each.layer is None)

    @property
    def shared_head(self) -> int:
        """Parameters of a head that is the embeddings (tied): held once, but written twice where torch writes by name."""
        return 0 if any("lm_head" in each.name for each in self.tensors) else self.vocab * self.hidden

    def blocks(self) -> dict[int, list[Tensor]]:
        """The tensors of each transformer block."""
        found: dict[int, list[Tensor]] = {}
        for each in self.tensors:
            if each.layer is not None:
                found.setdefault(each.layer, []).append(each)
        return found

    @property
    def largest_block(self) -> int:
        return max((sum(each.size for each in block) for block in self.blocks().values()), default=0)


def shape_of(config: Mapping[str, Any], tensors: Sequence[Tensor] = ()) -> ModelShape:
    """The shape that a config.json tells; with `tensors`, those of the files, of any model.

    Raises:
        UnknownModelError: the config lacks a number, or the family is not known here and `tensors` are not given.

    """
    text = {**config, **(config.get("text_config") or {})}
    heads = number(text, "num_attention_heads")
    hidden = number(text, "hidden_size")
    numbers = {
        "hidden": hidden,
        "intermediate": number(text, "intermediate_size", 4 * hidden),
        "layers": number(text, "num_hidden_layers"),
        "heads": heads,
        "kv_heads": number(text, "num_key_value_heads", heads),
        "head_dim": number(text, "head_dim", hidden // heads),
        "vocab": number(text, "vocab_size"),
    }
    return ModelShape(
        architecture=str((config.get("architectures") or [f"{config.get('model_type')} (no architectures)"])[0]),
        tensors=tuple(tensors) or tuple(family_tensors(text, numbers)),
        max_positions=text.get("max_position_embeddings"),
        stored_bytes=DTYPE_BYTES.get(str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch."), 2),
        origin="the headers of its safetensors files" if tensors else "its config.json",
        **numbers,
    )


def number(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if isinstance(value, int) and value > 0:
        return value
    if value is None and default is not None:
        return default
    raise UnknownModelError(f"config.json: {key} is {value!r}; give the config.json of a Hugging Face language model")


def family_tensors(config: Mapping[str, Any], numbers: Mapping[str, int]) -> Iterator[Tensor]:
    """The weights of a model of a known family, in transformers' names."""
    family = config.get("model_type")
    if family not in FAMILIES or config.get("num_experts") or config.get("num_local_experts"):
        raise UnknownModelError(
            f"config.json: model_type is {family!r}, whose layers are not known here ({', '.join(FAMILIES)} are); "
            "give --model-config the model's directory: the headers of its *.safetensors tell every shape"
        )
    hidden, vocab = numbers["hidden"], numbers["vocab"]
    yield Tensor("model.embed_tokens.weight", (vocab, hidden))
    for layer in range(numbers["layers"]):
        for name, shape in block_tensors(str(family), config, numbers):
            yield Tensor(f"model.layers.{layer}.{name}", shape)
    yield Tensor("model.norm.weight", (hidden,))
    if not tied(str(family), config):
        yield Tensor("lm_head.weight", (vocab, hidden))


def tied(family: str, config: Mapping[str, Any]) -> bool:
    """Whether the head is the embeddings: gemma's default is yes, the others' no."""
    return bool(config.get("tie_word_embeddings", family.startswith("gemma")))


def block_tensors(family: str, config: Mapping[str, Any], numbers: Mapping[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, wide = numbers["hidden"], numbers["intermediate"]
    query, key = numbers["heads"] * numbers["head_dim"], numbers["kv_heads"] * numbers["head_dim"]
    biased = {"qwen2": True}.get(family, bool(config.get("attention_bias")))
    if family == "phi3":
        yield "self_attn.qkv_proj.weight", (query + 2 * key, hidden)
    else:
        for name, rows in (("q", query), ("k", key), ("v", key)):
            yield f"self_attn.{name}_proj.weight", (rows, hidden)
            if biased:
                yield f"self_attn.{name}_proj.bias", (rows,)
    yield "self_attn.o_proj.weight", (hidden, query)
    if biased and family != "qwen2":
        yield "self_attn.o_proj.bias", (hidden,)
    if family == "qwen3":
        yield "self_attn.q_norm.weight", (numbers["head_dim"],)
        yield "self_attn.k_norm.weight", (numbers["head_dim"],)
    if family == "phi3":
        yield "mlp.gate_up_proj.weight", (2 * wide, hidden)
    else:
        yield "mlp.gate_proj.weight", (wide, hidden)
        yield "mlp.up_proj.weight", (wide, hidden)
    yield "mlp.down_proj.weight", (hidden, wide)
    if config.get("mlp_bias") and family in ("llama", "granite"):
        yield from (("mlp.gate_proj.bias", (wide,)), ("mlp.up_proj.bias", (wide,)), ("mlp.down_proj.bias", (hidden,)))
    norms = ["input_layernorm", "post_attention_layernorm"]
    if family == "gemma2":
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    yield from ((f"{norm}.weight", (hidden,)) for norm in norms)
