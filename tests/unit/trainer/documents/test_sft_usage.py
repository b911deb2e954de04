"""Every example of the SFT usage document, in its order, with paths put in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_scripts import Start, finish, told
from transformers import AutoModelForCausalLM

from kubetune_trainer import AlgorithmRegistry, create_algorithm, sft

pytestmark = pytest.mark.train
Write = Callable[..., Path]


def messages_of_all_kinds(index: int, row: dict[str, Any]) -> None:
    """System or none, reasoning, and unmask in its three forms."""
    if index % 2:
        del row["messages"][0]
    if index % 3 == 0:
        row["messages"][-1]["reasoning_content"] = "The colour was said."
    if index % 4:
        row["unmask"] = index % 4 == 1


def test_the_data_formats_and_the_masking(places: dict[str, str], write: Write) -> None:
    """In the form of the document's error handling, which catches nothing here."""
    said, data = "trained", None
    try:
        data = sft(**{**places, "data_path": str(write(messages_of_all_kinds))}).data
    except ValueError as error:
        said = f"Configuration error: {error}"
    except Exception as error:  # noqa: BLE001 - the document's form
        said = f"Training error: {error}"
    assert said == "trained"
    assert data is not None
    assert data.kept == 24
    assert 0.25 < data.tokens_in_loss / data.tokens < 0.35  # 0.21 without unmask, 0.53 if it were everywhere


SIMPLE = """
import json
from training_hub import sft

results = [
    sft(model_path=MODEL, data_path=DATA, ckpt_output_dir=OUT),
    sft(
        model_path=MODEL,
        data_path=DATA,
        ckpt_output_dir=OUT,
        num_epochs=3,
        learning_rate=1e-5,
        effective_batch_size=2048,
        max_seq_len=2048,
    ),
    sft(model_path=MODEL, data_path=DATA, ckpt_output_dir=OUT, backend="instructlab-training"),
]
for result in results:
    print(">>> " + json.dumps([result.step, len(result.losses), result.resumed_from, result.checkpoint.verified]))
"""


def test_the_convenience_function_called_three_times_with_one_directory(places: dict[str, str], start: Start) -> None:
    """By a script written for training_hub. Each call trains: none goes on from another's full state."""
    model, data, out = places.values()
    output = finish(start(SIMPLE, MODEL=model, DATA=data, OUT=out))
    assert told(output) == [[1, 1, None, True], [3, 3, None, True], [1, 1, None, True]]
    assert output.count("training starts from the start: the earlier run in") == 2
    trained = AutoModelForCausalLM.from_pretrained(Path(out) / "hf_format" / "samples_48", dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    assert not torch.equal(trained.lm_head.weight, base.lm_head.weight)
    assert trained.lm_head.weight.data_ptr() == trained.get_input_embeddings().weight.data_ptr()  # tied still


def test_the_factory(places: dict[str, str]) -> None:
    algorithm = create_algorithm("sft", "instructlab-training")
    result = algorithm.train(**places, num_epochs=2, learning_rate=2e-6)
    assert (result.reached_end, result.step, result.total_steps) == (True, 2, 2)
    assert list(algorithm.get_required_params()) == ["model_path", "data_path", "ckpt_output_dir"]


def test_discovery() -> None:
    assert "sft" in AlgorithmRegistry.list_algorithms()
    assert AlgorithmRegistry.list_backends("sft") == ["instructlab-training"]
    assert AlgorithmRegistry.get_algorithm("sft").__name__ == "SFTAlgorithm"


@pytest.mark.parametrize("wrong", ["model_path", "data_path"])
def test_error_handling(places: dict[str, str], wrong: str, tmp_path: Path) -> None:
    """A path that is not there is a configuration error, told before anything is launched."""
    places |= {wrong: str(tmp_path / "not-there")}
    said = "trained"
    try:
        sft(**places)
    except ValueError as error:
        said = f"Configuration error: {error}"
    except Exception as error:  # noqa: BLE001 - the document's form
        said = f"Training error: {error}"
    assert said.startswith(f"Configuration error: {wrong}: '{tmp_path}/not-there' does not exist")


def test_two_processes_on_one_node(places: dict[str, str]) -> None:
    result = sft(**places, nproc_per_node=2, nnodes=1, node_rank=0, rdzv_id=12345, rdzv_endpoint="")
    assert (result.reached_end, result.step) == (True, 1)


NODE = """
import json
from training_hub import sft

result = sft(
    model_path=MODEL,
    data_path=DATA,
    ckpt_output_dir=OUT,
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
    assert first[0] == 1
    assert (first[2], second[2]) == (True, False)  # the first node judges for both
