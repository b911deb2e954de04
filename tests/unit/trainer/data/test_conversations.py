"""Samples are the backend's own, for real chat templates; where the backend would have masked wrongly without a word, ours do not."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tiny import conversation as row_of
from tiny import make_tokenizer

from kubetune_trainer.data.conversations import backend_tokenizer, conversation, from_messages, unprinted_roles
from kubetune_trainer.data.rows import ROLES
from kubetune_trainer.data.survey import check_dataset
from kubetune_trainer.errors import DataError

USER = {"role": "user", "content": "What colour is the car number 3? It is pink."}
ASSISTANT = {"role": "assistant", "content": "The car number 3 is pink."}
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
CALL = {"type": "function", "function": {"name": "colour", "arguments": {"thing": "car"}}}

ROWS: dict[str, dict[str, Any]] = {
    "one turn": {"messages": [USER, ASSISTANT]},
    "system": {"messages": [SYSTEM, USER, ASSISTANT]},
    "several turns": {"messages": [USER, ASSISTANT, USER, ASSISTANT]},
    "unmask": {"messages": [SYSTEM, USER, ASSISTANT], "unmask": True},
    "no unmask": {"messages": [SYSTEM, USER, ASSISTANT], "unmask": False},
    "pretraining": {"messages": [{"role": "pretraining", "content": "<|user|>\nWhat is it?\n<|assistant|>\nA car, I think.\n"}]},
    "tool": {
        "messages": [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "pink"},
            ASSISTANT,
        ]
    },
    "reasoning": {"messages": [USER, {**ASSISTANT, "reasoning_content": "It is written there."}]},
}

# real models' templates, and what of ROWS each cannot print (its own refusal, or reasoning: see below)
TEMPLATES: dict[str, set[str]] = {
    "qwen2_5": {"reasoning"},
    "qwen3": set(),
    "llama3_1": {"reasoning"},
    "gemma3": {"tool", "reasoning"},
    "phi3_5": {"reasoning"},
    "glm4moe": set(),
    "gptoss": set(),
    "deepseek_r1_distill": {"reasoning"},
    "cohere2": {"tool", "reasoning"},
}


@pytest.fixture
def model_of(tmp_path: Path) -> Any:
    """A directory with the tiny tokenizer and a real model's chat template."""

    def make(template: str, **tokens: str) -> Path:
        import transformers
        import trl

        path = tmp_path / f"model-{template}-{len(list(tmp_path.iterdir()))}"
        tokenizer = make_tokenizer()
        tokenizer.add_special_tokens(tokens)
        tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja").read_text()
        tokenizer.save_pretrained(path)
        transformers.LlamaConfig(vocab_size=len(tokenizer)).save_pretrained(path)
        return path

    return make


def backends(model: Path, rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """What instructlab-training itself makes of the rows."""
    from instructlab.training.data_process import process_messages_into_input_ids

    folder.mkdir(exist_ok=True)
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with contextlib.redirect_stdout(io.StringIO()):
        process_messages_into_input_ids(str(folder / "in.jsonl"), str(folder), 10**6, str(model), None)
    return [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]


def ours(model: Path, rows: list[dict[str, Any]], folder: Path, *, unmask: bool = False) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    source = folder / "ours.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = from_messages(source, model, check_dataset(source, "messages", unmask=unmask), unmask=unmask, errors_shown=3)
    return [json.loads(each.text) for each in made]


def learned(model: Path, labels: list[int]) -> str:
    return str(backend_tokenizer(model).decode([label for label in labels if label != -100]))


@pytest.mark.parametrize("template", TEMPLATES)
def test_samples_are_the_backends(model_of: Any, tmp_path: Path, template: str):
    model = model_of(template)
    rows = [row for name, row in ROWS.items() if name not in TEMPLATES[template]]

    theirs = backends(model, rows, tmp_path / "data")
    assert len(theirs) == len(rows)
    assert ours(model, rows, tmp_path / "data") == [
        {"input_ids": row["input_ids"], "labels": row["labels"], "len": row["len"]} for row in theirs
    ]


def test_unmask_of_all_is_unmask_of_each(model_of: Any, tmp_path: Path):
    """osft(unmask_messages=True); the backend knows the row's own field alone."""
    model, rows = model_of("qwen3"), [ROWS["system"], ROWS["several turns"]]
    theirs = backends(model, [{**row, "unmask": True} for row in rows], tmp_path / "data")

    unmasked = ours(model, rows, tmp_path / "data", unmask=True)
    assert [row["labels"] for row in unmasked] == [row["labels"] for row in theirs]
    assert "What colour" in learned(model, unmasked[0]["labels"])
    assert "helpful assistant" not in learned(model, unmasked[0]["labels"])


# the template, the turns, whether the backend leaves an end of the assistant's turn out of the loss
REASONING: list[tuple[str, int, int]] = [
    ("qwen2_5", 1, 1),  # prints no reasoning
    ("phi3_5", 1, 1),  # likewise
    ("qwen3", 2, 1),  # prints that of the last turn
    ("qwen3", 1, 0),
]


@pytest.mark.parametrize(("template", "turns", "lost"), REASONING)
def test_reasoning_that_the_template_does_not_print(model_of: Any, tmp_path: Path, template: str, turns: int, lost: int):
    """The backend takes the end of the answer out of the loss: a model so trained does not stop."""
    end = {"phi3_5": "<|end|>"}.get(template, "<|im_end|>")
    model = model_of(template, eos_token=end)
    row = {"messages": [USER, {**ASSISTANT, "reasoning_content": "It is written there."}] * turns}
    (theirs,), (mine,) = backends(model, [row], tmp_path / "data"), ours(model, [row], tmp_path / "data")

    assert mine["input_ids"] == theirs["input_ids"]
    assert learned(model, mine["labels"]).count(end) == turns
    assert learned(model, theirs["labels"]).count(end) == turns - lost
    assert conversation(backend_tokenizer(model), row, unmask=False).unseen_reasoning == bool(lost)
    assert "pink" in learned(model, mine["labels"])


def test_a_turn_whose_end_is_not_learned_is_counted(model_of: Any):
    """Gemma ends a turn with <end_of_turn>, and its tokenizer's eos_token is another."""
    row = ROWS["one turn"]
    tokenizers = {eos: backend_tokenizer(model_of("gemma3", eos_token=eos)) for eos in ("<eos>", "<end_of_turn>")}

    assert {eos: conversation(tokenizer, row, unmask=False).endless for eos, tokenizer in tokenizers.items()} == {
        "<eos>": True,
        "<end_of_turn>": False,
    }


def test_tool_calls_are_learned_with_an_empty_content_and_not_without(model_of: Any, tmp_path: Path):
    model, call = model_of("qwen2_5"), ROWS["tool"]["messages"][1]
    without = {**ROWS["tool"], "messages": [USER, {**call, "content": None}]}
    empty, none = ours(model, [{"messages": [USER, call]}, without], tmp_path / "data")

    assert "colour" in learned(model, empty["labels"])
    assert learned(model, none["labels"]) == ""
    (theirs,) = backends(model, [without], tmp_path / "data")
    assert theirs["labels"] == none["labels"]


def test_columns_that_differ_by_row(tmp_path: Path, tiny_model: Path):
    """The backend's reader is Arrow: rows with another column later than its first piece of the file fail it."""
    rows = [{**row_of(i), "id": i} for i in range(45_000)]
    rows[-1] = {**row_of(0), "source": {"page": "b"}, "unmask": True}
    with pytest.raises(ValueError, match="Malformed or missing data"):
        backends(tiny_model, rows, tmp_path / "data")

    assert len(ours(tiny_model, rows[-100:], tmp_path / "data")) == 100


def test_the_rows_that_a_template_refuses_are_named(model_of: Any, tmp_path: Path):
    """The backend fails the whole set and names none."""
    good, bad = ROWS["one turn"], {"messages": [USER, USER, ASSISTANT]}
    model = model_of("gemma3")
    with pytest.raises(Exception, match="alternate"):
        backends(model, [good, bad], tmp_path / "data")
    with pytest.raises(DataError) as caught:
        ours(model, [good, bad, good, bad], tmp_path / "data")

    assert caught.value.problem.startswith("has 2 bad rows: line 2: cannot be tokenised")
    assert "line 4" in caught.value.problem
    assert "order of the roles" in caught.value.problem


def test_thoughts_within_the_content(model_of: Any, tmp_path: Path):
    """Templates that cut the content at </think> tear the backend's marks apart; in reasoning_content they are learned."""
    inline = {"messages": [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nIt is pink."}]}
    apart = {"messages": [USER, {"role": "assistant", "content": "It is pink.", "reasoning_content": "hm"}]}
    model = model_of("qwen3")
    with pytest.raises(ValueError, match="UNMASK_END"):
        backends(model, [inline], tmp_path / "data")
    with pytest.raises(DataError, match=r"line 1: .*; move what is between <think> and </think> .* to reasoning_content"):
        ours(model, [inline], tmp_path / "data")

    (row,) = ours(model, [apart], tmp_path / "data")
    assert learned(model, row["labels"]).startswith("hm\n</think>\n\nIt is pink.")


def test_roles_that_the_template_leaves_out_are_told(tmp_path: Path, tiny_model: Path):
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    template = (model / "chat_template.jinja").read_text()
    (model / "chat_template.jinja").write_text(
        template.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'tool' %}")
    )
    source = tmp_path / "in.jsonl"
    tool = {"messages": [USER, {"role": "tool", "content": "4 doors"}, ASSISTANT]}
    source.write_text(json.dumps(ROWS["one turn"]) + "\n" + json.dumps(tool))
    survey = check_dataset(source, "messages", roles=ROLES)

    assert unprinted_roles(tiny_model, survey) == ()
    (told,) = unprinted_roles(model, survey)
    assert "prints nothing of role 'tool' (line 2)" in told
