from collections.abc import Iterator

import pytest

from kubetune_trainer.backends.instructlab_training import InstructLabTraining
from kubetune_trainer.backends.mini_trainer import MiniTrainer
from kubetune_trainer.registry import AlgorithmRegistry, create_algorithm, get_backend


@pytest.fixture
def registry() -> Iterator[type[AlgorithmRegistry]]:
    """As it was, afterwards."""
    AlgorithmRegistry.list_algorithms()
    saved = dict(AlgorithmRegistry._algorithms), dict(AlgorithmRegistry._backends)
    yield AlgorithmRegistry
    AlgorithmRegistry._algorithms, AlgorithmRegistry._backends = saved


def test_the_usage_documents_names_are_listed_and_their_example_works() -> None:
    assert {"sft", "osft"} <= set(AlgorithmRegistry.list_algorithms())
    assert AlgorithmRegistry.list_backends("sft") == ["instructlab-training"]
    assert AlgorithmRegistry.list_backends("osft") == ["mini-trainer"]
    assert isinstance(create_algorithm("sft", "instructlab-training"), AlgorithmRegistry.get_algorithm("sft"))


def test_each_backend_is_made_anew_and_the_default_is_the_first() -> None:
    assert isinstance(get_backend("sft"), InstructLabTraining)
    assert isinstance(get_backend("osft", "mini-trainer"), MiniTrainer)
    assert get_backend("sft") is not get_backend("sft")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_algorithm("osftt"), r"algorithm: 'osftt' is not known; did you mean osft\? known: .*osft, sft"),
        (lambda: AlgorithmRegistry.get_algorithm("dpo"), "algorithm: 'dpo' is not known; known: .*osft, sft"),
        (lambda: AlgorithmRegistry.list_backends("xyz"), "known: .*osft, sft"),
        (lambda: create_algorithm("osft", "minitrainer"), r"backend: 'minitrainer' is not known; did you mean mini-trainer\?"),
        (lambda: get_backend("sft", "mini-trainer"), "backend: 'mini-trainer' is not known; known: instructlab-training"),
        (lambda: AlgorithmRegistry.register_backend("dpo", "trl", MiniTrainer), "algorithm: 'dpo' is not known"),
    ],
)
def test_an_unknown_name_is_a_value_error_with_what_there_is(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]  # a function


def test_another_algorithm_can_be_registered(registry: type[AlgorithmRegistry]) -> None:
    class Mine:
        def __init__(self, backend: object) -> None:
            self.backend = backend

    registry.register("mine", Mine, {"a": MiniTrainer, "b": InstructLabTraining})  # type: ignore[arg-type]  # no train(): not called
    assert registry.list_algorithms()[-1] == "mine"
    assert registry.list_backends("mine") == ["a", "b"]
    assert isinstance(get_backend("mine"), MiniTrainer)
    assert isinstance(create_algorithm("mine", "b"), Mine)


def test_an_algorithm_without_a_backend_is_refused(registry: type[AlgorithmRegistry]) -> None:
    with pytest.raises(ValueError, match="no backend"):
        registry.register("mine", AlgorithmRegistry.get_algorithm("sft"), {})


def test_an_algorithm_and_its_backends_can_be_registered_one_by_one(registry: type[AlgorithmRegistry]) -> None:
    registry.register_algorithm("mine", AlgorithmRegistry.get_algorithm("osft"))
    with pytest.raises(ValueError, match="algorithm: 'mine' has no backend that can be loaded"):
        create_algorithm("mine")
    registry.register_backend("mine", "a", MiniTrainer)
    registry.register_backend("mine", "b", InstructLabTraining)
    assert registry.list_backends("mine") == ["a", "b"]
    assert isinstance(get_backend("mine"), MiniTrainer)
    assert create_algorithm(algorithm_name="mine", backend_name="b").backend.name == "instructlab-training"  # type: ignore[attr-defined]  # ours
