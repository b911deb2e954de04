from kubetune_trainer.plugins.computed_buffers import without_computed


def test_rotary_frequencies_are_left_out_and_nothing_else() -> None:
    state = {"model.rotary_emb.inv_freq": 1, "model.rotary_emb.original_inv_freq": 2, "model.embed_tokens.weight": 3}
    assert without_computed(state) == {"model.embed_tokens.weight": 3}


def test_a_rank_that_gathered_nothing_has_nothing_to_leave_out() -> None:
    assert without_computed({}) == {}
