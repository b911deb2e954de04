"""Every example of the OSFT usage document, in its order, with paths put in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_scripts import Start, finish, told
from tiny import conversation, make_tokenizer

from kubetune_trainer import AlgorithmRegistry, create_algorithm, osft

pytestmark = pytest.mark.train
Write = Callable[..., Path]

SMALL: dict[str, Any] = {
    "unfreeze_rank_ratio": 0.3,
    "effective_batch_size": 16,
    "max_tokens_per_gpu": 2048,
    "max_seq_len": 2048,
    "learning_rate": 2e-5,
}


def with_reasoning(index: int, row: dict[str, Any]) -> None:
    if index % 2:
        del row["messages"][0]
    if index % 3 == 0:
        row["messages"][-1]["reasoning_content"] = "The colour was said."


def test_unmasked_messages(places: dict[str, str], write: Write) -> None:
    """In the form of the document's error handling, which catches nothing here."""
    said, data = "trained", None
    try:
        data = osft(**{**places, "data_path": str(write(with_reasoning))}, **SMALL, unmask_messages=True).data
    except ValueError as error:
        said = f"Configuration error: {error}"
    except Exception as error:  # noqa: BLE001 - the document's form
        said = f"Training error: {error}"
    assert said == "trained"
    assert data is not None
    assert data.kept == 24
    assert data.tokens_in_loss / data.tokens > 0.5  # all but the system's words and the template's marks


def test_a_processed_data_set(places: dict[str, str], tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    data = tmp_path / "processed.jsonl"
    with data.open("w") as lines:
        for index in range(24):
            ids = tokenizer.apply_chat_template(conversation(index)["messages"], return_dict=False)
            lines.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
    result = osft(**{**places, "data_path": str(data)}, **SMALL, use_processed_dataset=True)
    assert (result.reached_end, result.step) == (True, 2)


SIMPLE = """
import json
from training_hub import osft

results = [
    osft(
        model_path=MODEL,
        data_path=DATA,
        ckpt_output_dir=OUT,
        unfreeze_rank_ratio=0.3,
        effective_batch_size=16,
        max_tokens_per_gpu=2048,
        max_seq_len=2048,
        learning_rate=2e-5,
    ),
    osft(
        model_path=MODEL,
        data_path=DATA,
        ckpt_output_dir=OUT,
        unfreeze_rank_ratio=0.2,
        effective_batch_size=16,
        max_tokens_per_gpu=4096,
        max_seq_len=4096,
        learning_rate=1e-5,
        num_epochs=3,
        warmup_steps=100,
        use_liger=True,
        osft_memory_efficient_init=True,
        seed=42,
    ),
]
for result in results:
    print(">>> " + json.dumps([result.step, len(result.losses), result.resumed_from, result.checkpoint.verified]))
"""


def test_the_convenience_function_called_twice_with_one_directory(places: dict[str, str], start: Start) -> None:
    """By a script written for training_hub."""
    model, data, out = places.values()
    output = finish(start(SIMPLE, MODEL=model, DATA=data, OUT=out))
    assert told(output) == [[3, 3, None, True], [9, 9, None, True]]
    assert "the earlier run in" in output
    assert "use_liger has no effect on the CPU" in output
    assert "osft_memory_efficient_init has no effect: mini-trainer always loads the model on one rank only" in output


def test_the_factory_with_batch_size(places: dict[str, str]) -> None:
    algorithm = create_algorithm("osft", "mini-trainer")
    result = algorithm.train(
        **places,
        unfreeze_rank_ratio=0.25,
        batch_size=6,
        max_tokens_per_gpu=3072,
        max_seq_len=2048,
        learning_rate=1.5e-5,
        num_epochs=2,
    )
    assert (result.reached_end, result.step, result.total_steps) == (True, 16, 16)
    assert list(algorithm.get_required_params()) == [*places, *SMALL]


def test_discovery() -> None:
    assert "osft" in AlgorithmRegistry.list_algorithms()
    assert AlgorithmRegistry.list_backends("osft") == ["mini-trainer"]
    assert AlgorithmRegistry.get_algorithm("osft").__name__ == "OSFTAlgorithm"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"data_path": "/not/there"}, "Configuration error: data_path: '/not/there' does not exist"),
        ({"unfreeze_rank_ratio": 2.0}, "Configuration error: unfreeze_rank_ratio: 2.0 is refused"),
    ],
)
def test_error_handling(places: dict[str, str], wrong: dict[str, Any], says: str) -> None:
    said = "trained"
    try:
        osft(**{**places, **SMALL, "effective_batch_size": 8, **wrong})
    except ValueError as error:
        said = f"Configuration error: {error}"
    except Exception as error:  # noqa: BLE001 - the document's form
        said = f"Training error: {error}"
    assert said.startswith(says)


def test_two_processes_on_one_node(places: dict[str, str]) -> None:
    arguments = {**SMALL, "effective_batch_size": 4}
    result = osft(
        **places, **arguments, unmask_messages=False, nproc_per_node=2, nnodes=1, node_rank=0, rdzv_id=12345, rdzv_endpoint=""
    )
    assert (result.reached_end, result.step) == (True, 12)
    assert result.data is not None
    assert result.data.tokens_in_loss / result.data.tokens < 0.3  # assistant turns only


NODE = """
import json
from training_hub import osft

result = osft(
    model_path=MODEL,
    data_path=DATA,
    ckpt_output_dir=OUT,
    unfreeze_rank_ratio=0.25,
    effective_batch_size=2,
    max_tokens_per_gpu=1024,
    max_seq_len=2048,
    learning_rate=1e-5,
    nproc_per_node=1,
    nnodes=2,
    node_rank=RANK,
    rdzv_id=12345,
    rdzv_endpoint=f"localhost:{PORT}",
)
print(">>> " + json.dumps([result.step, result.losses, result.checkpoint is not None]))
"""


def test_two_nodes(places: dict[str, str], start: Start, port: int) -> None:
    model, data, out = places.values()
    names = {"MODEL": model, "DATA": data, "OUT": out, "PORT": port}
    nodes = [start(NODE, f"node{rank}.py", RANK=rank, **names) for rank in (1, 0)]
    (second,), (first,) = (told(finish(node)) for node in nodes)
    assert first[:2] == second[:2]
    assert first[0] == 24
    assert (first[2], second[2]) == (True, False)
