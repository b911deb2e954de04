"""Asks a Hugging Face model questions, greedily, with nothing but `transformers`:  python ask.py MODEL < questions.json"""

from __future__ import annotations

import json
import sys

MAX_NEW_TOKENS = 24


def ask(model_dir: str, questions: list[str]) -> list[str]:
    """The first line of each greedy answer, of at most 24 tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    return [answer(model, tokenizer, question) for question in questions]


def answer(model, tokenizer, question: str) -> str:  # noqa: ANN001 - transformers ships no types worth naming
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = model.generate(**prompt, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    said = tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    return said.strip().split("\n")[0]


if __name__ == "__main__":
    json.dump(ask(sys.argv[1], json.load(sys.stdin)), sys.stdout)
