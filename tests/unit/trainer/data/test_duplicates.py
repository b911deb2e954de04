"""Repeated rows, exactly where they can be remembered and without bias where they cannot."""

from __future__ import annotations

from kubetune_trainer.data.duplicates import SHOWN, Duplicates


def test_exact_up_to_the_capacity():
    counter = Duplicates(capacity=100)
    for line in range(1, 301):
        counter.add(line, str(line % 100).encode())

    assert (counter.count, counter.exact) == (200, True)
    assert counter.lines == [101 + i for i in range(SHOWN)]


def test_an_estimate_in_bounded_memory_beyond_it():
    counter = Duplicates(capacity=2000)
    most = 0
    for line in range(200_000):
        counter.add(line, str(line % 80_000).encode())
        most = max(most, len(counter.seen))

    assert not counter.exact
    assert most <= 2001
    assert abs(counter.count - 120_000) < 12_000  # 1 in 64 rows: 2.9 % one standard deviation


def test_no_repeats_are_none():
    counter = Duplicates(capacity=64)
    for line in range(10_000):
        counter.add(line, str(line).encode())
    assert counter.count == 0
