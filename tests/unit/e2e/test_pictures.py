from __future__ import annotations

import json

import pytest

from e2e.dashboard.questions import DASHBOARD
from e2e.pictures import page, scene
from e2e.pictures.__main__ import NAMES, missing
from e2e.pictures.asked import Asked, Window, asked, called, frames, place, rounded, row_of, rows, variables
from kubetune.api import parse_job

WINDOW = Window(1_000_003, 1_000_723, scrape=5)
DOCUMENT = json.loads(DASHBOARD.read_text())


def panel(expr: str, width: int = 8, **more: object) -> dict[str, object]:
    target = {"refId": "A", "expr": expr, "legendFormat": "{{class}}"}
    return {"id": 1, "title": "a", "gridPos": {"x": 8, "y": 5, "w": width, "h": 8}, "targets": [target], **more}


def test_a_query_is_asked_as_grafana_would() -> None:
    drawn = panel('increase(a{job=~"$job", name="$name"}[$__rate_interval]) / b[$__range]')
    question = asked(drawn, drawn["targets"][0], WINDOW, {"name": "teach"})
    assert question.expr == 'increase(a{job=~".*", name="teach"}[20s]) / b[720s]'
    assert (question.begin, question.end, question.step, question.instant) == (1_000_000, 1_000_720, 5, False)


def test_a_panel_that_wants_few_points_gets_long_steps_and_windows_as_long() -> None:
    drawn = panel("increase(a[$__rate_interval])", maxDataPoints=40)
    question = asked(drawn, drawn["targets"][0], WINDOW, {})
    assert (question.step, question.expr) == (20, "increase(a[25s])")


@pytest.mark.parametrize(("seconds", "step"), [(0.4, 1), (1.9, 2), (7.7, 10), (46, 60), (70, 60), (540, 600), (99_999, 3600)])
def test_steps_are_rounded(seconds: float, step: int) -> None:
    assert rounded(seconds) == step


def test_a_panel_lies_where_the_grid_has_it() -> None:
    assert place(panel("a"), top=1) == {
        "left": pytest.approx(482.67, abs=0.01),
        "top": 152,
        "width": pytest.approx(474.67, abs=0.01),
        "height": 296,
    }


@pytest.mark.parametrize(
    ("legend", "labels", "name"),
    [
        ("{{namespace}}/{{name}}", {"namespace": "research", "name": "teach"}, "research/teach"),
        ("list {{ instance }}", {"instance": "a:1"}, "list a:1"),
        ("{{class}}", {}, ""),
        ("__auto", {"b": "2", "a": "1"}, "a=1, b=2"),
        ("__auto", {}, "sum(a)"),
    ],
)
def test_a_series_is_called_as_its_legend_says(legend: str, labels: dict[str, str], name: str) -> None:
    assert called(legend, labels, "sum(a)") == name


def test_series_come_in_milliseconds_and_without_what_json_has_not() -> None:
    target = {"refId": "B", "legendFormat": "{{class}}"}
    answer = [{"metric": {"class": "Hang"}, "values": [[10, "1.5"], [15.5, "NaN"], [20, "+Inf"]]}]
    (series,) = frames(target, Asked("a", 10, 20, 5, instant=False), answer)
    assert series == {
        "refId": "B",
        "name": "Hang",
        "labels": {"class": "Hang"},
        "interval": 5000,
        "times": [10_000, 15_500, 20_000],
        "values": [1.5, None, None],
    }
    (now,) = frames(target, Asked("a", 10, 20, 5, instant=True), [{"metric": {}, "value": [20, "3"]}])
    assert (now["times"], now["values"]) == ([20_000], [3.0])


def test_each_row_of_the_dashboard_has_a_picture_with_all_its_panels() -> None:
    found = dict(rows(DOCUMENT))
    assert list(found) == list(NAMES)
    assert sum(map(len, found.values())) == sum(each["type"] != "row" for each in DOCUMENT["panels"])
    for title, panels in found.items():
        shown = row_of(title, panels, WINDOW, {}, lambda _: [])
        assert min(each["place"]["top"] for each in shown["panels"]) == 0
        assert all(each["place"]["top"] + each["place"]["height"] < shown["height"] for each in shown["panels"])


def test_the_page_can_draw_every_type_of_panel_that_the_dashboard_has() -> None:
    types = {each["type"] for each in DOCUMENT["panels"]} - {"row"}
    sources = (page.SOURCES / "panels.jsx").read_text()
    assert [each for each in types if f"  {each}: {{" not in sources] == []


def test_what_is_chosen_stands_at_the_top() -> None:
    assert variables(DOCUMENT, {"name": "teach"})[-2:] == [{"label": "Namespace", "text": "All"}, {"label": "Job", "text": "teach"}]


def test_the_pages_packages_are_pinned_and_name_no_registry() -> None:
    assert all(version[0].isdigit() for version in page.packages().values())
    assert not list(page.SOURCES.glob("*lock*"))


def test_the_page_holds_its_data_whatever_text_is_in_it(tmp_path) -> None:
    script = tmp_path / "page.js"
    assert "</script><b>" not in page.html(script, {"title": "</script><b>"})


@pytest.mark.parametrize("job", scene.JOBS, ids=lambda job: job.name)
def test_the_jobs_of_the_scene_are_valid(job: scene.Job) -> None:
    document = scene.manifest(job, 60)
    parse_job({**document, "metadata": {**document["metadata"], "uid": "1"}})


def test_the_player_is_told_how_long_a_job_trains_and_with_what_it_fails() -> None:
    told = {job.name: scene.manifest(job, 30)["spec"]["template"]["annotations"] for job in scene.JOBS}
    assert told["faq-nightly"] == {"test/train-seconds": "90.0"}
    assert told["long-context"] == {"test/train-seconds": "60.0", "test/train-fails": "CudaOOM"}


def test_what_this_machine_lacks_is_named_with_where_it_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert missing() == (
        "Debian's packages are missing: apt-get install --no-install-recommends prometheus chromium. "
        "Not on PATH: node, npm; install Node.js 20 or later (https://nodejs.org)."
    )
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert missing() == ""


def test_the_scene_happens_in_order_and_ends_when_it_says() -> None:
    moments = [at for at, _ in scene.happens()]
    assert moments == sorted(moments)
    assert moments[-1] == scene.LENGTH
