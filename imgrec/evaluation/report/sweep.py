"""sweep.html: the results of a sweep, generated from its sweep.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from imgrec.core.files.atomic_write import write_bytes
from imgrec.core.text import printable
from imgrec.errors import DataError
from imgrec.evaluation.report.blocks import Block, Cell, Chart, Column, Kind, Paragraph, Section, Table
from imgrec.evaluation.report.evaluation_folder import read_json
from imgrec.evaluation.report.render import render_page
from imgrec.evaluation.report.sections.headline import Headline
from imgrec.evaluation.report.sections.numbers import count, duration

__all__ = ["SWEEP_REPORT_NAME", "write_sweep_report"]

SWEEP_REPORT_NAME = "sweep.html"
NUM_AXES = 3  # metrics with an axis, besides the one that ranks the jobs
NUM_SHOWN = 50
SHOWN_METRICS = ("accuracy", "subset_accuracy", "f1_macro", "auroc_macro", "log_loss")


def write_sweep_report(folder: Path) -> Path:
    """Write sweep.html into the folder of a sweep; return its path.

    Raises:
        DataError: sweep.json is missing or damaged.
        RunFolderError: The page cannot be written.
    """
    file = read_json(folder / "sweep.json")
    if file.data is None:
        raise DataError(f"{printable(str(folder))}: {file.problem or 'no sweep.json'}. Give the folder of a sweep.")
    try:
        content = _to_html(file.data, folder)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {printable(str(error))[:120]}"
        raise DataError(
            f"{printable(str(folder))}: sweep.json is damaged or was written by another version of imgrec ({reason})."
        ) from error
    write_bytes(folder / SWEEP_REPORT_NAME, content)
    return folder / SWEEP_REPORT_NAME


def _to_html(data: Mapping[str, Any], folder: Path) -> bytes:
    jobs = data["jobs"]
    done = [job for job in jobs if job["status"] == "ok"]
    sections = [
        Section("settings", "Overrides and metrics", "Each line is a job. Hover over a line to read its values; the "
                "best job is orange.", [_parallel(data, done)] if done else [Paragraph("No job has finished.")]),
        Section("jobs", "Jobs", "Best first, with links to the reports.", [_table(data, folder)]),
    ]  # fmt: skip
    failed = [job for job in jobs if job["status"] != "ok"]
    if failed:
        lead = "To run only these jobs again, repeat the command with hydra.sweep.dir set to the folder of the sweep."
        sections.append(Section("failed", "Unfinished jobs", lead, [_failed(failed)]))
    return render_page(
        "sweep.html",
        title=f"Sweep of {len(jobs)} jobs",
        sections=sections,
        absent=[],
        head=_head(data, done),
        config="",
        folder=printable(str(folder)),
    )


def _head(data: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Headline:
    jobs = data["jobs"]
    best = _best(done)
    subject = f"{count(len(jobs), 'job')}, {count(len(done))} finished"
    sentences = []
    if best is not None:
        shown = {key: best["overrides"].get(key) for key in data["varied"]} or best["overrides"]
        setting = ", ".join(f"{key}={value}" for key, value in shown.items())
        sentences.append(f"Job {best['number']}: {printable(setting) or 'no overrides'}.")
        sentences.append(
            "The metric of the best of many jobs is optimistic. Evaluate the job on data that was not used to select "
            "it, and with several seeds."
        )
    value = "" if best is None else f"{best['score']:.4g}"
    return Headline(printable(data["monitor"]), value, sentences, subject)


def _best(done: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first job with a metric: jobs are sorted, best first."""
    return next((job for job in done if job["score"] is not None), None)


def _parallel(data: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Chart:
    names = [name for name in SHOWN_METRICS if any(name in job["metrics"] for job in done)][:NUM_AXES]
    axes = [{"name": printable(key), "place": place} for place, key in enumerate(data["varied"])]
    axes += [
        {"name": printable(name), "place": len(axes) + place, "is_metric": True} for place, name in enumerate(names)
    ]
    axes.append({"name": printable(data["monitor"] or "metric"), "place": len(axes), "is_metric": True})
    rows = [
        {
            "number": job["number"],
            "values": [
                *(_value(job["overrides"].get(key)) for key in data["varied"]),
                *(job["metrics"].get(name) for name in names),
                job["score"],
            ],
        }
        for job in done
    ]
    best = _best(done)
    index = -1 if best is None else done.index(best)
    return Chart("parallel", "Parallel coordinates", {"axes": axes, "jobs": rows, "best": index})


def _value(text: Any) -> Any:
    """Return an override as a number where it can be parsed as one."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return printable(str(text))
    return value if abs(value) < 1e300 else printable(str(text))


def _table(data: Mapping[str, Any], folder: Path) -> Table:
    jobs = data["jobs"]
    names = [name for name in SHOWN_METRICS if any(name in job["metrics"] for job in jobs)]
    kinds: list[tuple[str, Kind]] = [("job", "text"), *((printable(key), "text") for key in data["varied"])]
    kinds += [("status", "text"), (printable(data["monitor"] or "metric"), "number")]
    kinds += [*((name, "number") for name in names), ("time", "number")]
    best = _best([job for job in jobs if job["status"] == "ok"])
    rows = []
    for job in jobs:
        tone = {"ok": "", "failed": "bad"}.get(job["status"], "soft")
        rows.append([
            Cell(f"job {job['number']}", job["number"], link=_link(job, folder), tone="best" if job is best else ""),
            *(Cell(printable(str(job["overrides"].get(key, ""))), _order(job["overrides"].get(key)))
              for key in data["varied"]),
            Cell(job["status"], tone=tone),
            _number(job["score"]),
            *(_number(job["metrics"].get(name)) for name in names),
            Cell("" if job["seconds"] is None else duration(job["seconds"]), job["seconds"]),
        ])  # fmt: skip
    columns = [Column(title, kind) for title, kind in kinds]
    return Table("Jobs", columns, rows, search="job" if len(rows) > 20 else "", num_shown=NUM_SHOWN)


def _order(text: Any) -> float | str | None:
    value = _value(text)
    return None if value is None else value if isinstance(value, float) else str(value).lower()


def _number(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.4g}", value)


def _link(job: Mapping[str, Any], folder: Path) -> str:
    """Return the URL of a job's report, relative to sweep.html; "" where there is none."""
    path = PurePath(str(job["folder"]))
    if path.is_absolute() or ".." in path.parts:
        return ""
    for place in (path / "evaluation" / "report.html", path / "report.html"):
        if (folder / place).is_file():
            return "./" + quote(place.as_posix())  # "./": a folder name is never read as a URL scheme
    return ""


def _failed(jobs: Sequence[Mapping[str, Any]]) -> Block:
    columns = [Column("job"), Column("overrides"), Column("status"), Column("error")]
    rows = [
        [
            Cell(f"job {job['number']}", job["number"]),
            Cell(printable(", ".join(f"{key}={value}" for key, value in job["overrides"].items()))),
            Cell(job["status"], tone="bad" if job["status"] == "failed" else "soft"),
            Cell(printable(str(job["error"]))),
        ]
        for job in jobs
    ]
    return Table("Unfinished jobs", columns, rows)
