"""What the Grafana dashboard asks (deploy/grafana/kubetune.json; grafana.py makes the JSON).

Every replica knows all jobs, and each scrape job may have a scope of its own: gauges over jobs are the `max` within a scrape job,
then summed. Counters count on the leader alone and are summed over replicas.
"""

from __future__ import annotations

from dataclasses import replace

from grafana import Panel, Query, Row, Variable, bars, beside, dashboard, gauges, lines, quarter, quiet, stat, steps

SELF = 'job=~"$job"'
OWN = f'{SELF}, kind=~"$kind"'
ONE = f'{OWN}, namespace=~"$namespace", name=~"$name"'
FAILED = f'{OWN}, result="error"'
PROGRESS = f"kubetune_job_progress_ratio{{{ONE}}}"
BY_NAME = "max by (kind, namespace, name)"
NAME = "{{namespace}}/{{name}}"
INSTANCE = "{{instance}}"
ENDS = "kubetune_job_attempt_ends_total"
ITS_OWN = f"and on (job, instance) kubetune_leader{{{SELF}}}"
"""process_* metrics of kubetune's processes alone: the scrape job's name is anybody's choice."""

PHASES = {
    "Pending": "text",
    "Queued": "purple",
    "Starting": "yellow",
    "Running": "blue",
    "Restarting": "orange",
    "Suspended": "light-purple",
    "Succeeded": "green",
    "Failed": "red",
}
CLASSES = {
    "Succeeded": "green",
    "Suspended": "light-purple",
    "Preempted": "purple",
    "CudaOOM": "red",
    "HostOOM": "dark-red",
    "BackendError": "light-red",
    "NonFiniteLoss": "super-light-red",
    "NodeLost": "orange",
    "RendezvousTimeout": "dark-orange",
    "Hang": "light-orange",
    "UserError": "yellow",
    "DataError": "dark-yellow",
    "DeadlineExceeded": "light-yellow",
    "ImagePull": "blue",
    "DiskFull": "dark-blue",
    "ChildLost": "light-blue",
    "Other": "text",
}
"""Colours, the same in every panel: what is well is green, what goes on by itself violet, memory red, machines orange, the user's
own yellow.
"""


def jobs(phases: str = ".*") -> str:
    """A series for each scrape job, kind, phase and class."""
    return f'max by (job, kind, phase, class) (kubetune_jobs{{{OWN}, phase=~"{phases}"}})'


def number(phases: str) -> str:
    return f"sum({jobs(phases)}) or vector(0)"


def increase(metric: str, by: str, labels: str = OWN) -> Query:
    """What did not happen has no bar, and no place in the legend."""
    return Query(f"sum by ({by}) (increase({metric}{{{labels}}}[$__rate_interval])) > 0", f"{{{{{by}}}}}")


def quantile(share: float, metric: str, window: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{{OWN}}}[{window}])))"


def waits(title: str, text: str, metric: str) -> Panel:
    shares = ((0.5, "half within"), (0.9, "nine of ten within"))
    return lines(title, text, "s", *(Query(quantile(share, metric, "$__range"), legend) for share, legend in shares))


def reconciles(labels: str, window: str) -> str:
    return f"rate(kubetune_reconcile_seconds_count{{{labels}}}[{window}])"


FLEET = (
    stat("Running", number("Running"), "Jobs whose master runs."),
    stat("Waiting", number("Pending|Queued|Starting"), "No master runs yet: pending, in a queue, or starting."),
    stat("Restarting", number("Restarting"), "Jobs between two attempts.", bad_from=10),
    stat("Failed", number("Failed"), "Jobs that will not be tried again and are still there."),
    stat(
        "Succeeded attempts",
        f'sum(increase({ENDS}{{{OWN}, class="Succeeded"}}[$__range]))'
        f' / sum(increase({ENDS}{{{OWN}, class!="Suspended"}}[$__range]))',
        "Of the attempts that ended in the time shown, but for those that somebody suspended.",
        "percentunit",
    ),
    stat(
        "Jobs without series",
        f"max(kubetune_job_series_left_out{{{SELF}}})",
        "Running jobs beyond the 200 that have series of their own: the row below and the alert on silence do not see them.",
        bad_from=1,
    ),
    replace(
        beside(
            steps(
                "Jobs by phase",
                "Every job that is there.",
                Query(f"sum by (phase) ({jobs()})", "{{phase}}"),
                stacking={"mode": "normal"},
                fillOpacity=50,
                lineWidth=1,
            )
        ),
        colours=PHASES,
    ),
    replace(
        gauges(
            "Failed jobs by class",
            "Jobs that are there in phase Failed.",
            Query(f"sum by (class) ({jobs('Failed')})", "{{class}}", instant=True),
        ),
        colours=CLASSES,
    ),
    bars("Attempts started", "By kind of job.", increase("kubetune_job_attempts_total", "kind")),
    replace(
        bars("Attempts that ended, by how", "Succeeded, Suspended, or a class of docs/failures.md.", increase(ENDS, "class")),
        colours=CLASSES,
    ),
    replace(
        bars(
            "Restarts, by the failure before",
            "Counted against backoffLimit. Preemption and suspension are not.",
            increase("kubetune_job_restarts_total", "class"),
        ),
        colours=CLASSES,
    ),
    replace(
        lines(
            "Longest in its phase",
            "The oldest job of each phase that ends by itself. Starting or Restarting for half an hour is an alert.",
            "s",
            Query(
                f'max by (phase) (kubetune_oldest_job_seconds{{{OWN}, phase=~"Pending|Queued|Starting|Restarting"}})', "{{phase}}"
            ),
        ),
        colours=PHASES,
    ),
    waits("From creation to admission", "Of first attempts admitted in the time shown.", "kubetune_job_admission_seconds"),
    waits("From creation to the first step", "Scheduling, images, data, model, SVD: all of it.", "kubetune_job_first_step_seconds"),
)

ONE_JOB = (
    gauges(
        "Progress",
        "Optimizer steps done of all. A job has series while it runs.",
        Query(f"{BY_NAME} ({PROGRESS})", NAME, instant=True),
        "percentunit",
        top=1,
    ),
    beside(
        lines("Progress over time", "Flat: no step is done.", "percentunit", Query(f"{BY_NAME} ({PROGRESS})", NAME), axisSoftMax=1)
    ),
    lines(
        "Since its last step was reported",
        "Half an hour is an alert. Before its first step a job has no such series.",
        "s",
        Query(f"{BY_NAME} (kubetune_job_report_age_seconds{{{ONE}}})", NAME),
    ),
    lines(
        "Time left at the pace of the last ten minutes",
        "An estimate from progress alone; the job's own is in its status (ETA).",
        "s",
        Query(f"(1 - {BY_NAME} ({PROGRESS})) / ({BY_NAME} (deriv({PROGRESS}[10m])) > 0)", NAME),
    ),
    lines(
        "Steps done in ten minutes, of all",
        "The pace: a sudden fall is a slow disk, a slow node, or a save.",
        "percentunit",
        Query(f"{BY_NAME} (delta({PROGRESS}[10m])) and {BY_NAME} ({PROGRESS})", NAME),
    ),
)

OPERATOR = (
    stat("Leaders", f"sum(kubetune_leader{{{SELF}}})", "One for each release. None: nothing is reconciled."),
    stat("Replicas", f"count(kubetune_leader{{{SELF}}})", "Processes that were scraped."),
    stat("To be reconciled", f"max(kubetune_queue_depth{{{SELF}}})", "More than 100 for ten minutes is an alert.", bad_from=100),
    stat("Watch blind for", f"max(kubetune_watch_blind_seconds{{{SELF}}})", "Lists show what the watch has not told.", "s", 60),
    stat("All jobs listed, ago", f"max(kubetune_sweep_age_seconds{{{SELF}}})", "Every five minutes by default.", "s", 1200),
    stat(
        "Reconciles that failed",
        f"(sum({reconciles(FAILED, '$__range')}) or vector(0)) / sum({reconciles(OWN, '$__range')})",
        "The cluster refused, or did not answer.",
        "percentunit",
        0.1,
    ),
    steps("Who leads", "1 on the replica that acts.", Query(f"kubetune_leader{{{SELF}}}", INSTANCE), top=1),
    steps("Queue", "Jobs that wait to be reconciled.", Query(f"kubetune_queue_depth{{{SELF}}}", INSTANCE), top=10),
    replace(
        lines(
            "Reconciles",
            "A second, by result.",
            "ops",
            Query(f"sum by (result) ({reconciles(OWN, '$__rate_interval')})", "{{result}}"),
        ),
        colours={"ok": "green", "error": "red"},
    ),
    beside(
        lines(
            "Writes to the API server",
            "A second, by what is written.",
            "ops",
            Query(
                f"sum by (resource, verb) (rate(kubetune_api_writes_total{{{SELF}}}[$__rate_interval]))", "{{verb}} {{resource}}"
            ),
        )
    ),
    quiet(
        lines(
            "Writes that failed",
            "A second, by HTTP status; 0: no answer, 409: somebody wrote first, and it is done again.",
            "ops",
            Query(f'sum by (code) (rate(kubetune_api_writes_total{{{SELF}, code!~"2.."}}[$__rate_interval]))', "{{code}}"),
        )
    ),
    quarter(
        lines(
            "How long one reconcile takes",
            "A reconcile is a handful of requests.",
            "s",
            Query(quantile(0.5, "kubetune_reconcile_seconds", "$__rate_interval"), "half within"),
            Query(quantile(0.99, "kubetune_reconcile_seconds", "$__rate_interval"), "99 of 100 within"),
        )
    ),
    quarter(
        lines(
            "Silence",
            "A quiet cluster has a quiet watch; the list of all jobs is the proof.",
            "s",
            Query(f"kubetune_watch_event_age_seconds{{{SELF}}}", "watch {{instance}}"),
            Query(f"kubetune_sweep_age_seconds{{{SELF}}}", "list {{instance}}"),
        )
    ),
    quarter(lines("Memory", "Resident.", "bytes", Query(f"process_resident_memory_bytes{{{SELF}}} {ITS_OWN}", INSTANCE))),
    quarter(
        lines("CPU", "Cores.", "short", Query(f"rate(process_cpu_seconds_total{{{SELF}}}[$__rate_interval]) {ITS_OWN}", INSTANCE))
    ),
)

ROWS: tuple[Row, ...] = (("Fleet", FLEET), ("One job", ONE_JOB), ("Operator health", OPERATOR))

SERIES = "kubetune_job_progress_ratio"
VARIABLES = (
    Variable("job", "Scrape job", "label_values(kubetune_leader, job)"),
    Variable("kind", "Kind", f"label_values(kubetune_jobs{{{SELF}}}, kind)"),
    Variable("namespace", "Namespace", f"label_values({SERIES}{{{OWN}}}, namespace)"),
    Variable("name", "Job", f'label_values({SERIES}{{{OWN}, namespace=~"$namespace"}}, name)'),
)
"""Each narrows the next."""


def text() -> str:
    """The file."""
    origin = "Generated by scripts/generate.py from scripts/dashboard.py."
    return dashboard("kubetune", f"Fine-tuning jobs and the operator that runs them. {origin}", VARIABLES, ROWS)
