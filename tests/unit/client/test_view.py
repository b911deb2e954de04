"""A job as rows, text and HTML."""

from datetime import datetime

from fake_jobs import attempt, job

from kubetune.client.columns import columns, row_of, short_time
from kubetune.client.seen import JobList, SeenJob
from kubetune.client.view import html_of_job, html_of_jobs, text_of_job

NOW = datetime.fromisoformat("2026-01-01T12:30:00+00:00")
RUNNING = job(
    phase="Running",
    progress={"step": 7, "totalSteps": 20, "loss": 1.23456, "etaSeconds": 130, "tokensPerSecond": 12345.6},
    attempts=[attempt(1, "NodeLost"), attempt(2)],
    restarts=1,
    conditions=[
        {"type": "Running", "status": "True", "reason": "Running", "lastTransitionTime": "2026-01-01T12:00:00Z"},
    ],
)


def cells(manifest, **options) -> dict[str, str]:
    return {column.title: column.text(row_of(manifest, NOW)) for column in columns(**options)}


def test_a_row_says_what_the_printer_columns_say():
    assert cells(RUNNING) == {
        "NAME": "teach",
        "KIND": "SFTJob",
        "PHASE": "Running",
        "PROGRESS": "35% (7/20)",
        "LOSS": "1.235",
        "ETA": "2m10s",
        "NODES": "1",
        "RESTARTS": "1",
        "AGE": "30m",
    }
    wide = cells(RUNNING, wide=True, namespaces=True)
    assert (wide["NAMESPACE"], wide["REASON"], wide["TOKENS/S"], wide["CHECKPOINT"]) == ("ml", "Running", "12,346", "")


def test_the_loss_is_sketched_and_of_which_attempt_it_is():
    learns = job(phase="Running", progress={"step": 3, "loss": 1.0, "losses": [3, 2, 1]}, attempts=[attempt(1)])
    assert cells(learns, wide=True)["CURVE"] == "█▅▁"
    assert "loss:        █▅▁ 3 to 1\n" in text_of_job(learns) + "\n"
    learns["status"]["attempts"].append(attempt(2))
    assert "3 to 1 (attempt 2)" in html_of_job(learns)
    learns["status"]["progress"]["losses"] = [3]
    assert cells(learns, wide=True)["CURVE"] == ""
    assert "loss:        1\n" in text_of_job(learns)


def test_a_job_that_nobody_has_looked_at_is_pending():
    shown = cells(job())
    assert (shown["PHASE"], shown["PROGRESS"], shown["ETA"]) == ("Pending", "", "")


def test_before_the_first_step_the_stage_is_shown():
    assert cells(job(phase="Running", progress={"step": 0, "stage": "tokenising"}))["PROGRESS"] == "tokenising"


def test_ages_are_short():
    assert [short_time(s) for s in (0, 59, 60, 61, 700, 3600, 7300, 86400, 900000)] == [
        "0s",
        "59s",
        "1m",
        "1m1s",
        "11m",
        "1h",
        "2h1m",
        "1d",
        "10d",
    ]


def test_text_and_html_tell_the_same():
    text, html = text_of_job(RUNNING), html_of_job(RUNNING)
    assert text.splitlines()[0] == "sftjob/teach in ml"
    assert "progress:    35% (7/20)" in text
    assert "<progress value='7' max='20'" in html
    assert "1.235" in html


def test_html_is_escaped_and_says_why_a_job_failed():
    failure = {"class": "DataError", "reason": "DataError", "message": "row 3: <script> is no role"}
    html = html_of_job(job(phase="Failed", failure=failure))
    assert "DataError: row 3: &lt;script&gt; is no role" in html
    assert "<script>" not in html


def test_a_list_is_a_table_with_the_namespace_only_where_there_are_several():
    other = job("other")
    html = html_of_jobs([RUNNING, other], NOW)
    assert html.count("<tr>") == 3
    assert "Namespace" not in html
    other["metadata"]["namespace"] = "else"
    assert "Namespace" in html_of_jobs([RUNNING, other], NOW)
    assert html_of_jobs([]) == "<div>no jobs</div>"


def test_seen_jobs_show_themselves():
    seen = SeenJob(RUNNING)
    assert str(seen) == "sftjob/teach"
    assert repr(seen) == text_of_job(RUNNING)
    assert seen._repr_html_() == html_of_job(RUNNING)
    assert JobList([seen])._repr_html_().count("<tr>") == 2
    assert seen.job.spec.nodes == 1
