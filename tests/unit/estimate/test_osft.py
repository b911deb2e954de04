from __future__ import annotations

import pytest
from model_configs import SMOLLM2, of_family

from kubetune.estimate import Tensor, shape_of
from kubetune.estimate.osft import factored, kept_rank, of_model, svd_operations


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [(0.3, 44), (0.0, 63), (0.5, 32), (0.99, 0), (1.0, 32)],  # at 1 the backend takes its default; at 0 one direction stays
)
def test_how_many_directions_stay(ratio: float, kept: int) -> None:
    assert kept_rank((64, 128), ratio) == kept


def test_factors_of_one_matrix_add_up() -> None:
    whole = factored([Tensor("a.mlp.up_proj.weight", (64, 128)), Tensor("norm", (64,))], ["mlp.up_proj"], 0.3)
    assert whole.frozen == 44 * 193
    assert whole.trained_factors == 20 * 193
    assert whole.trained_rank == 20
    assert (whole.rest, whole.held, whole.trained) == (64, 64 * 193 + 64, 20 * 193 + 64)


def test_a_matrix_of_which_nothing_stays_is_trained_as_it_is() -> None:
    whole = factored([Tensor("a.mlp.up_proj.weight", (64, 128))], ["mlp.up_proj"], 0.99)
    assert (whole.targets, whole.rest) == ((), 64 * 128)


def test_smollm2_has_210_matrices_whose_factors_take_634_mb() -> None:
    """docs/library.md and the measurement behind it: a cache of 634 MB."""
    whole = of_model(shape_of(SMOLLM2), None, 0.3)
    assert len(whole.targets) == 210
    assert 4 * whole.factors == pytest.approx(634e6, rel=0.005)


def test_patterns_follow_from_the_architecture_or_are_the_users() -> None:
    names = {each.name.split(".", 3)[3] for each in of_model(shape_of(of_family("phi3")), None, 0.3).targets}
    assert names == {"self_attn.qkv_proj.weight", "self_attn.o_proj.weight", "mlp.gate_up_proj.weight", "mlp.down_proj.weight"}
    mine = of_model(shape_of(of_family("llama")), ["mlp.down_proj"], 0.3)
    assert [each.name for each in mine.targets] == [f"model.layers.{n}.mlp.down_proj.weight" for n in (0, 1)]


def test_operations_do_not_depend_on_which_side_is_longer() -> None:
    assert svd_operations(Tensor("w", (100, 10))) == svd_operations(Tensor("w", (10, 100))) == 6 * 100 * 100 + 20 * 1000
