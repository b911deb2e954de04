"""One row: is it one that the backends train on as the user means it? Each format has its check."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetune_trainer.data.problems import Remarks, refuse
from kubetune_trainer.plugins.no_own_trackers import import_without_trackers

ROLES = frozenset({"system", "user", "assistant", "pretraining", "tool"})
"""The usage documents' four, and `tool`. instructlab-training hands any role to the chat template, misspelt ones as well:
beyond these only what the template itself compares a role with is taken."""

REASONING = ("reasoning_content", "thinking")
"""instructlab-training's names of a reasoning trace (the second is GPT-OSS's)."""

IGNORED_LABEL = -100
"""A position with this label is not counted in the loss (torch.nn.CrossEntropyLoss's ignore_index)."""

LEGACY_MARKS = re.compile(r"<\|(user|assistant|system|endoftext|end_of_text)\|>|<\|start_of_role\|>\w+<\|end_of_role\|>")

TOOLS_UNSEEN = (
    "tools is not handed to the chat template (instructlab-training renders messages alone): describe the tools in a system message"
)
CALL_MASKED = 'an assistant\'s tool_calls without content stay out of the loss: write content: "" to have them learned'
CUT_TEXT = (
    "part of a pretraining message is dropped (user and assistant text is kept up to the next '<'): use user and assistant messages"
)


@dataclass(frozen=True)
class RowCheck:
    """Refuses rows of one file that are wrong, and remarks on those that are odd."""

    path: Path
    data_format: str
    unmask: bool = False
    roles: frozenset[str] = ROLES
    vocab_size: int | None = None  # rows of the model's embedding; None: not checked
    remarks: Remarks = field(default_factory=Remarks)

    def learns(self, line: int, row: dict[str, Any]) -> bool:
        """Whether any of the row is counted in the loss.

        Raises:
            DataError: the row is wrong; names the line and the remedy.

        """
        if self.data_format == "messages":
            return self._messages(line, row)
        return self._processed(line, row) if self.data_format == "processed" else self._document(line, row)

    def _messages(self, line: int, row: dict[str, Any]) -> bool:
        messages = row.get("messages")
        if messages is None:
            found = ", ".join(sorted(row)) or "nothing"
            refuse(self.path, line, f"has no messages (it has {found})", 'write {"messages": [{"role": ..., "content": ...}]}')
        if not isinstance(messages, list) or not messages:
            refuse(self.path, line, "messages is empty or not a list", "give at least one message")
        if not isinstance(row.get("unmask"), bool | None):
            refuse(self.path, line, f"unmask is {row['unmask']!r}, neither true nor false", "write true or false, or leave it out")
        if row.get("tools"):
            self.remarks.add(line, TOOLS_UNSEEN)
        for index, message in enumerate(messages):
            self._message(line, f"messages[{index}]", message)
        roles = {message["role"] for message in messages}
        learns_all = self.unmask or bool(row.get("unmask"))
        return bool(roles - {"system"}) if learns_all else bool(roles & {"assistant", "pretraining"})

    def _message(self, line: int, name: str, message: object) -> None:
        if not isinstance(message, dict):
            refuse(self.path, line, f"{name} is not an object", 'write {"role": ..., "content": ...}')
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or role not in self.roles:
            refuse(self.path, line, f"{name}.role {role!r} does not exist", f"use one of {', '.join(sorted(self.roles))}")
        for key in REASONING:
            if not isinstance(message.get(key), str | None):
                refuse(self.path, line, f"{name}.{key} is not a string", "give the text as one string, or leave it out")
        if content is None and role == "assistant" and any(message.get(key) for key in ("tool_calls", *REASONING)):
            if message.get("tool_calls"):
                self.remarks.add(line, CALL_MASKED)
        elif not isinstance(content, str):
            problem = f"{name}.content is {type(content).__name__}, not a string"
            refuse(self.path, line, problem, "give the text as one string")
        elif role == "pretraining":
            self._legacy_text(line, name, content)

    def _legacy_text(self, line: int, name: str, content: str) -> None:
        import_without_trackers("instructlab.training")
        from instructlab.training.data_process import extract_messages_from_pretraining_text

        turns = extract_messages_from_pretraining_text(content)
        if not any(turn["content"].strip() for turn in turns):
            problem = f"{name}: a pretraining message without <|user|> or <|assistant|> and text on the next line is dropped whole"
            refuse(self.path, line, problem, "give user and assistant messages, with unmask: true")
        if sum(len("".join(turn["content"].split())) for turn in turns) < len("".join(LEGACY_MARKS.sub("", content).split())):
            self.remarks.add(line, CUT_TEXT)

    def _processed(self, line: int, row: dict[str, Any]) -> bool:
        for key in ("input_ids", "labels"):
            values = row.get(key)
            if not isinstance(values, list) or not values:
                remedy = "give input_ids and labels, two lists of one length"
                refuse(self.path, line, f"{key} is {'missing' if values is None else 'empty or not a list'}", remedy)
            if bad := [value for value in values if type(value) is not int]:
                refuse(self.path, line, f"{key} holds {bad[0]!r}, not an integer", "give token numbers")
        tokens, labels = row["input_ids"], row["labels"]
        if len(tokens) != len(labels):
            problem = f"labels has {len(labels)} entries, input_ids {len(tokens)}"
            refuse(self.path, line, problem, "give one label for each token (-100: not counted in the loss)")
        if min(tokens) < 0:
            refuse(self.path, line, f"input_ids holds {min(tokens)}", "token numbers are not negative")
        if wrong := [label for label in labels if label < 0 and label != IGNORED_LABEL]:
            remedy = f"use the token's number, or {IGNORED_LABEL} where it is not counted in the loss"
            refuse(self.path, line, f"labels holds {wrong[0]}", remedy)
        largest = max(*tokens, *labels)
        if self.vocab_size is not None and largest >= self.vocab_size:
            problem = f"token {largest} is beyond the model's vocabulary of {self.vocab_size}"
            refuse(self.path, line, problem, "tokenise with this model's own tokenizer")
        return any(label != IGNORED_LABEL for label in labels[1:])  # the next token is predicted: the first label is never used

    def _document(self, line: int, row: dict[str, Any]) -> bool:
        document = row.get("document")
        if not isinstance(document, str):
            refuse(self.path, line, "document is missing or not a string", 'write {"document": "the text"} on each line')
        return bool(document)
