"""Plain documents to samples, as both backends' pretraining does it: each document ends with the end-of-sequence token, all are
joined, and what comes is cut into blocks of max_seq_len tokens, every one of which is learned.

instructlab-training's process_documents_for_pretraining tokenises and each backend's PretrainingBlockDataset joins and cuts,
with all tokens in memory; here they stream. The last, shorter block stays as it is (the backends pad it, masked).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from kubetune_trainer.data.parallel import chunks, in_order, processes_for
from kubetune_trainer.data.preflight import MODEL_FIELD, trust_remote_code
from kubetune_trainer.data.sample import Sample, sample
from kubetune_trainer.data.source import parse, read_lines
from kubetune_trainer.data.survey import Survey
from kubetune_trainer.errors import ConfigurationError


def from_documents(source: Path, model_dir: Path, survey: Survey, block: int) -> Iterator[Sample]:
    """Blocks of `block` tokens.

    Raises:
        ConfigurationError: the tokenizer has no end-of-sequence token (the backends refuse that as well).

    """
    plain_tokenizer.cache_clear()  # the directory may hold another one since
    if plain_tokenizer(model_dir).eos_token_id is None:
        remedy = "give tokenizer_config.json an eos_token: documents are joined by it"
        raise ConfigurationError(MODEL_FIELD, str(model_dir), "has a tokenizer without an end-of-sequence token", remedy)
    rest: list[int] = []
    work = partial(_tokenised, source, model_dir)
    for documents in in_order(work, chunks(read_lines(source)), processes_for(survey.rows)):
        for tokens in documents:
            rest.extend(tokens)
        whole = len(rest) - len(rest) % block
        for start in range(0, whole, block):
            piece = rest[start : start + block]
            yield sample(piece, piece)
        del rest[:whole]
    if rest:
        yield sample(rest, rest)


@lru_cache(maxsize=1)
def plain_tokenizer(model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_dir, trust_remote_code=trust_remote_code())


def _tokenised(source: Path, model_dir: Path, lines: list[tuple[int, bytes]]) -> list[list[int]]:
    tokenizer = plain_tokenizer(model_dir)
    return [document(tokenizer, parse(source, line, raw)["document"]) for line, raw in lines]


def document(tokenizer: Any, text: str) -> list[int]:
    """Its tokens with one end-of-sequence token at the end; an empty one is left out."""
    if not text:
        return []
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=True)
    return tokens if tokens[-1:] == [tokenizer.eos_token_id] else [*tokens, tokenizer.eos_token_id]
