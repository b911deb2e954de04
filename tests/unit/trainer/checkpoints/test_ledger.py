"""The account survives whoever writes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_disk import fill, small_disk

from kubetune_trainer.checkpoints.ledger import LEDGER_NAME, Ledger, read_ledger, told
from kubetune_trainer.contract import FailureClass


def test_what_is_written_is_read_in_order(tmp_path: Path):
    ledger = Ledger(tmp_path, 3)
    ledger.add("attempt", world_size=2, spec_hash="h")
    ledger.add(
        "saved", tmp_path / "attempt-3" / "full_state" / "step_5", kind="full-state", step=5, bytes=1_600_000_000, seconds=1.5
    )
    ledger.add("refused", Path("/elsewhere/step_9"), reason="is of sft")
    ledger.add("ended", step=7, failure=FailureClass.DISK_FULL, reason="no space left")

    account = read_ledger(tmp_path)

    assert [entry.event for entry in account.entries] == ["attempt", "saved", "refused", "ended"]
    assert {entry.attempt for entry in account.entries} == {3}
    (saved,) = account.of("saved")
    assert (saved.checkpoint, saved.step, saved.kind) == ("attempt-3/full_state/step_5", 5, "full-state")
    assert account.entries[2].checkpoint == "/elsewhere/step_9"
    assert account.entries[3].failure is FailureClass.DISK_FULL
    assert account.unreadable == 0
    assert "saved        full-state attempt-3/full_state/step_5, step 5, 1.6 GB, verified in 1.50 s" in str(account)


@pytest.mark.parametrize("torn", [b'{"attempt":1,"ev', b'{"attempt":1}', b"\x00\x00\x00", "käse".encode()[:2]])
def test_a_torn_last_line_costs_itself_alone(tmp_path: Path, torn: bytes):
    ledger = Ledger(tmp_path)
    ledger.add("attempt")
    with (tmp_path / LEDGER_NAME).open("ab") as file:
        file.write(torn)
    assert len(read_ledger(tmp_path).entries) == 1
    ledger.add("ended")

    account = read_ledger(tmp_path)

    assert [entry.event for entry in account.entries] == ["attempt", "ended"]
    assert account.unreadable == 1
    assert "(1 torn line(s) passed over)" in str(account)


def test_a_newer_versions_fields_are_passed_over(tmp_path: Path):
    Ledger(tmp_path).add("attempt")
    line = json.loads((tmp_path / LEDGER_NAME).read_text()) | {"colour": "green"}
    (tmp_path / LEDGER_NAME).write_text(json.dumps(line) + "\n")
    assert len(read_ledger(tmp_path).entries) == 1


def test_none_is_empty(tmp_path: Path):
    assert (read_ledger(tmp_path).entries, str(read_ledger(tmp_path))) == ((), "")


def test_a_full_disk_costs_lines_and_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        ledger = Ledger(disk)
        ledger.add("attempt", reason="x" * 4000)  # the next line needs a new page
        filler = fill(disk)
        for _ in range(3):
            ledger.add("saved", step=1, reason="y" * 3000)
        filler.unlink()
        ledger.add("ended")
        account = read_ledger(disk)

    assert "lacks a line (No space left on device)" in caplog.text
    assert (account.entries[0].event, account.entries[-1].event) == ("attempt", "ended")
    assert len(account.entries) < 5


def test_the_program_prints_it(tmp_path: Path):
    Ledger(tmp_path).add("attempt", world_size=1)
    command = [sys.executable, "-m", "kubetune_trainer.checkpoints.ledger", str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "attempt 1   attempt      1 rank(s)" in printed


def test_what_a_report_says(tmp_path: Path):
    ledger = Ledger(tmp_path)
    entries = [
        ledger.add("saved", tmp_path / "a", step=1),
        ledger.add("quarantined", tmp_path / "b", reason="state.pt is missing"),
        ledger.add("save-failed", step=6, reason="too little space for it"),
    ]
    assert told(entries) == ["quarantined: b (state.pt is missing)", "not saved: step 6 (too little space for it)"]
