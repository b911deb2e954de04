import re

import pytest

from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import PARAMETERS, SFTParameters
from kubetune_trainer.validation import parameters_of

OSFT = {"unfreeze_rank_ratio": 0.3, "effective_batch_size": 8, "max_tokens_per_gpu": 512, "max_seq_len": 256, "learning_rate": 1e-5}


def test_what_is_none_is_not_set() -> None:
    assert parameters_of(SFTParameters, {"num_epochs": 2, "seed": None}).given() == {"num_epochs": 2}


@pytest.mark.parametrize(
    ("algorithm", "values", "field", "words"),
    [
        ("sft", {"learing_rate": 1e-5}, "argument", "'learing_rate' is not known; did you mean learning_rate?"),
        ("sft", {"unfreeze_rank_ratio": 0.3}, "argument", "is not known"),
        (
            "osft",
            {**OSFT, "unfreeze_rank_ratio": 1.5},
            "unfreeze_rank_ratio",
            "1.5 is refused: input should be less than or equal to 1; Share of",
        ),
        (
            "osft",
            {k: v for k, v in OSFT.items() if k != "max_seq_len"},
            "max_seq_len",
            "is missing; give it: Longest sample in tokens",
        ),
        ("osft", {**OSFT, "lr_scheduler": "cosin"}, "lr_scheduler", "'cosin' is refused"),
        ("sft", {"max_seq_len": 512, "max_tokens_per_gpu": 256}, "max_tokens_per_gpu", "less than max_seq_len (512)"),
        ("sft", {"checkpoint_at_epoch": False}, "checkpoint_at_epoch", "leave checkpoint_at_epoch out or set save_samples"),
        ("osft", {**OSFT, "save_final_checkpoint": False}, "save_final_checkpoint", "set checkpoint_at_epoch: true"),
    ],
)
def test_what_is_wrong_names_the_argument_its_value_and_the_remedy(
    algorithm: str, values: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parameters_of(PARAMETERS[algorithm], values)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert not re.search("[a-z][A-Z]", str(caught.value).replace(caught.value.remedy, ""))  # Python's names, not the resource's
