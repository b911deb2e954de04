"""The table of attacks says the same in every run."""

from attack_records import words


def test_names_that_a_run_draws_are_left_out():
    said = (
        '403 sftjobs.kubetune.dev "teach" in the namespace "lab-0a1b2c3d4e" (uid 01234567-89ab-cdef-0123-456789abcdef) is forbidden'
    )
    assert words(said) == '403 sftjobs.kubetune.dev "teach" in the namespace "…" (uid …) is forbidden'


def test_a_cell_is_one_line_of_bounded_length():
    assert words("a | b\nc") == "a \\| b c"
    assert len(words("x" * 1000)) < 340
