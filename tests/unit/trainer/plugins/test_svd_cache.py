from pathlib import Path

import pytest
import torch

from kubetune_trainer.plugins import svd_cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[torch.Tensor]]:
    """The directory, and the matrices that were really decomposed."""
    computed: list[torch.Tensor] = []
    real = torch.linalg.svd

    def counted(matrix: torch.Tensor, full_matrices: bool = True, **more: object) -> object:
        computed.append(matrix)
        return real(matrix, full_matrices=full_matrices, **more)

    monkeypatch.setattr(torch.linalg, "svd", counted)
    svd_cache.install(directory=str(tmp_path))
    return tmp_path, computed


def test_the_second_time_the_stored_factors_are_equal_and_nothing_is_computed(cache: tuple[Path, list[torch.Tensor]]) -> None:
    matrix = torch.randn(6, 4)
    first = torch.linalg.svd(matrix, full_matrices=False)
    second = torch.linalg.svd(matrix.clone(), full_matrices=False)
    assert len(cache[1]) == 1
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    u, s, vh = second
    torch.testing.assert_close((u * s) @ vh, matrix)


def test_another_content_shape_or_kind_is_computed(cache: tuple[Path, list[torch.Tensor]]) -> None:
    matrix = torch.randn(6, 4)
    for other in (matrix, matrix + 1, matrix.reshape(4, 6), matrix.double()):
        torch.linalg.svd(other, full_matrices=False)
    torch.linalg.svd(matrix)  # full: not ours
    assert len(cache[1]) == 5


def test_a_damaged_entry_is_computed_again(cache: tuple[Path, list[torch.Tensor]]) -> None:
    matrix = torch.randn(6, 4)
    torch.linalg.svd(matrix, full_matrices=False)
    (entry,) = cache[0].glob("*/*.safetensors")
    entry.write_bytes(b"torn")
    torch.linalg.svd(matrix, full_matrices=False)
    torch.linalg.svd(matrix, full_matrices=False)
    assert len(cache[1]) == 2
