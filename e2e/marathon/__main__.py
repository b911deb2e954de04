"""Trainings that are killed at random moments until they have finished, against the same ones undisturbed."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from e2e.marathon.models import ROOT, cases
from e2e.marathon.race import KINDS, Race, race

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
        "--report", type=Path, help="a file into which the table and the first ledger are written, between its marks"
    )
    given = parser.parse_args()
    names = list(known) if given.models == "all" else given.models.split(",")
    kills = [kind for kind in given.kills.split(",") if kind]
    unknown = [name for name in names if name not in known] + [kind for kind in kills if kind not in KINDS]
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}")
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    print(f"==> marathon: seed {given.seed}, kills {','.join(kills)}; logs in {given.folder}", file=sys.stderr, flush=True)
    races = []
    for name in names:
        print(f"==> {name}", file=sys.stderr, flush=True)
        races.append(race(known[name], kills, given.seed, given.folder.resolve()))
        print(told(races[-1]), flush=True)
    command = f"make marathon MODELS={given.models} KILLS={given.kills} SEED={given.seed}"
    text = table(races)
    print(text)
    if given.report:
        given.report.write_text(
            written_into(given.report.read_text(), f"`{command}`\n\n{text}\n\n{account(races[0], given.folder)}")
        )
    return 0 if all(r.won for r in races) else 1


def table(races: list[Race]) -> str:
    """One row a model, in Markdown."""
    head = "| model | steps | what was done to it | attempts | weights bit-equal | losses equal | undisturbed, disturbed |\n"
    rows = [
        f"| {r.case.name} | {r.steps} | {'; '.join(r.disturbances[:-1])} | {len(r.outcomes)} | {r.equal} of {r.tensors} tensors "
        f"| {'all' if r.losses_equal else 'NO'} | {r.seconds[0]:.0f} s, {r.seconds[1]:.0f} s |"
        for r in races
    ]
    return head + "|---|---|---|---|---|---|---|\n" + "\n".join(rows)


def told(r: Race) -> str:
    verdict = "bit-equal to the undisturbed run" if r.won else "NOT what the undisturbed run is"
    return "\n".join(
        [f"{r.case.name}: {verdict}", *(f"  {i + 1}. {what}" for i, what in enumerate(r.disturbances)), str(r.account)]
    )


def account(r: Race, folder: Path) -> str:
    """The ledger of one of them, with its lines of text as they are."""
    text = str(r.account).replace(f"{folder.resolve()}/", "")
    return f"The ledger of {r.case.name}:\n\n```\n{text}\n```"


def written_into(page: str, text: str) -> str:
    """The page with the text between its two marks."""
    before, _, rest = page.partition("<!-- marathon -->\n")
    _, _, after = rest.partition("<!-- /marathon -->")
    return f"{before}<!-- marathon -->\n{text}\n<!-- /marathon -->{after}"


if __name__ == "__main__":
    sys.exit(main())
