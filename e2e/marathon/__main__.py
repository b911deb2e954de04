"""Trainings that are killed at random moments until they have finished, against the same ones undisturbed."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from e2e.marathon.models import ROOT, cases
from e2e.marathon.race import KINDS, race
from e2e.marathon.record import Record, read_records, record_of, table, written_into

FOLDER = ROOT / ".kubetune" / "marathon"


def main() -> int:
    known = cases()
    parser = argparse.ArgumentParser(prog="python -m e2e.marathon", description=__doc__)
    parser.add_argument("--models", default="all", help=f"comma-separated: {', '.join(known)}; all")
    parser.add_argument(
        "--kills", default="9,term,full", help="in this order, one an attempt: 9 (SIGKILL), term (SIGTERM), full (disk)"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the moments; default: drawn, and printed")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="models, logs, checkpoints and ledgers, which stay")
    parser.add_argument(
        "--report", type=Path, help="a file into which all that the folder has is written, between its marks: table and a ledger"
    )
    given = parser.parse_args()
    names = list(known) if given.models == "all" else given.models.split(",")
    kills = [kind for kind in given.kills.split(",") if kind]
    unknown = [name for name in names if name not in known] + [kind for kind in kills if kind not in KINDS]
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}")
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    print(f"==> marathon: seed {given.seed}, kills {','.join(kills)}; logs in {given.folder}", file=sys.stderr, flush=True)
    records = []
    for name in names:
        print(f"==> {name}", file=sys.stderr, flush=True)
        records.append(record_of(race(known[name], kills, given.seed, given.folder.resolve()), given.seed))
        records[-1].write(given.folder)
        print(told(records[-1]), flush=True)
    print(table(records))
    if given.report:
        given.report.write_text(written_into(given.report.read_text(), read_records(given.folder, list(known))))
    return 0 if all(record.won for record in records) else 1


def told(record: Record) -> str:
    verdict = "killed in every way, and bit-equal to the undisturbed run" if record.won else "NOT won"
    return "\n".join(
        [f"{record.name}: {verdict}", *(f"  {i + 1}. {what}" for i, what in enumerate(record.disturbances)), record.ledger]
    )


if __name__ == "__main__":
    sys.exit(main())
