import pytest
import torch

from kubetune_trainer.plugins.tied_embeddings import aliases, drop_aliases


class Tied(torch.nn.Module):
    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.model = torch.nn.ModuleDict({"embed_tokens": torch.nn.Embedding(8, 4), "other": torch.nn.Linear(4, 4)})
        self.lm_head = torch.nn.Linear(4, 8, bias=False)
        if tied:
            self.lm_head.weight = self.model["embed_tokens"].weight


def test_the_alias_is_left_out_even_where_each_name_was_gathered_into_its_own_tensor() -> None:
    model = Tied(tied=True)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    drop_aliases(state, aliases(model))
    assert "model.embed_tokens.weight" in state
    assert "lm_head.weight" not in state
    assert "model.other.weight" in state


def test_a_rank_that_gathered_nothing_has_nothing_to_drop() -> None:
    state: dict[str, torch.Tensor] = {}
    drop_aliases(state, aliases(Tied(tied=True)))
    assert state == {}


def test_two_parameters_that_only_claim_to_be_tied_are_refused() -> None:
    model = Tied(tied=False)
    with pytest.raises(RuntimeError, match="separate parameters"):
        drop_aliases(dict(model.state_dict()), aliases(model))
