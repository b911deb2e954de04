"""A sample as both training libraries read it, one JSON line, with what is counted about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from kubetune_trainer.data.rows import IGNORED_LABEL

NO_LIMIT = 2**31 - 1


class Sample(NamedTuple):
    """Ready to be written. Lengths in tokens."""

    text: str  # {"input_ids": [...], "labels": [...], "len": n}
    length: int
    in_loss: int  # labels that count; the first token is never predicted
    endless: bool = False
    unseen_reasoning: bool = False


def sample(tokens: list[int], labels: list[int], *, endless: bool = False, unseen_reasoning: bool = False) -> Sample:
    """`tokens` and `labels`, of one length, as a line."""
    text = json.dumps({"input_ids": tokens, "labels": labels, "len": len(tokens)}, separators=(",", ":"))
    counted = sum(label != IGNORED_LABEL for label in labels[1:])
    return Sample(text, len(tokens), counted, endless, unseen_reasoning)


@dataclass
class Tally:
    """Counts while the samples pass."""

    shortest: int  # sample kept
    limit: int  # the longest sample kept
    kept: int = 0
    long: int = 0
    long_min: int = NO_LIMIT
    long_max: int = 0
    short: int = 0
    tokens: int = 0
    in_loss: int = 0
    longest: int = 0
    masked: int = 0
    endless: int = 0
    unseen_reasoning: int = 0

    def takes(self, sample: Sample) -> bool:
        """Counts the sample; True where it is kept."""
        if sample.length > self.limit:
            self.long += 1
            self.long_min, self.long_max = min(self.long_min, sample.length), max(self.long_max, sample.length)
            return False
        if sample.length < self.shortest:
            self.short += 1
            return False
        self.kept += 1
        self.tokens += sample.length
        self.in_loss += sample.in_loss
        self.longest = max(self.longest, sample.length)
        self.masked += not sample.in_loss
        self.endless += sample.endless
        self.unseen_reasoning += sample.unseen_reasoning
        return True

    def counts(self) -> dict[str, Any]:
        """By DataReport's names."""
        return {
            "kept": self.kept,
            "dropped_long": self.long,
            "dropped_short": self.short,
            "dropped_from": self.long_min if self.long else 0,
            "dropped_to": self.long_max,
            "tokens": self.tokens,
            "tokens_in_loss": self.in_loss,
            "longest": self.longest,
            "masked": self.masked,
            "endless": self.endless,
            "unseen_reasoning": self.unseen_reasoning,
        }
