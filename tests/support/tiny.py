"""A model made on the spot: a llama or qwen2 of about 125k parameters, its tokenizer, and data that it can learn.

`python tests/support/tiny.py DIR` writes DIR/tiny-llama, DIR/train.jsonl and DIR/documents.jsonl, which the jobs in examples/cpu name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

COLOURS = ("red", "green", "blue", "black", "white", "pink")
THINGS = ("car", "house", "ball", "tree", "fish", "bird", "book", "cup")

CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def conversation(i: int) -> dict[str, Any]:
    """Sample i: 43 tokens or more of the tiny tokenizer, above the 20 that instructlab-training asks for."""
    thing, colour = THINGS[i % len(THINGS)], COLOURS[i % len(COLOURS)]
    return {
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"What colour is the {thing} number {i}? It is {colour}."},
            {"role": "assistant", "content": f"The {thing} number {i} is {colour}."},
        ]
    }


def write_messages(path: Path, rows: int = 48) -> Path:
    """Writes `rows` conversations as JSONL; returns the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(conversation(i)) + "\n" for i in range(rows)))
    return path


def write_documents(path: Path, rows: int = 48) -> Path:
    """Writes the text of `rows` conversations as plain documents; returns the file."""
    texts = (" ".join(message["content"] for message in conversation(i)["messages"]) for i in range(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"document": text}) + "\n" for text in texts))
    return path


def make_tiny_model(
    directory: Path, *, arch: Literal["llama", "qwen2"] = "llama", tied: bool = False, chat_template: bool = True
) -> Path:
    """Saves the model (float32, seed 0) and its tokenizer into `directory`; equal arguments give equal weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(chat_template=chat_template)
    config_class, model_class = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[arch]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        tie_word_embeddings=tied,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(config).to(torch.float32)
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    for each in directory.iterdir():  # safetensors writes for its owner alone, and a pod's user is another
        each.chmod(0o644)
    tokenizer.save_pretrained(directory)
    return directory


def make_tokenizer(*, chat_template: bool = True) -> Any:
    """Byte-level BPE of 400 tokens, trained on the conversations themselves."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = (f"{m['content']} {m['role']}" for i in range(48) for m in conversation(i)["messages"])
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        bos_token="<|im_start|>",
        chat_template=CHAT_TEMPLATE if chat_template else None,
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    make_tiny_model(target / "tiny-llama")
    write_messages(target / "train.jsonl")
    write_documents(target / "documents.jsonl")
