"""The audit: every part in order, each where it can run, and the reason where it cannot."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from imgrec.auditing.dataset_checks.groups import crossing_groups, leaking_groups
from imgrec.auditing.dataset_checks.shortcuts import shortcuts
from imgrec.auditing.duplicates.near import duplicate_groups, exact_groups, near_pairs
from imgrec.auditing.findings import Audit, Section
from imgrec.auditing.output.fact_sections import (
    class_section,
    format_section,
    group_section,
    label_section,
    leaking_section,
    outlier_section,
    shortcut_section,
)
from imgrec.auditing.output.folder import STORE_NAME, base_of, check_output, write_audit
from imgrec.auditing.output.sections import broken_section, conflict_section, duplicate_sections, leak_sections
from imgrec.auditing.output.shell import shell_line
from imgrec.auditing.scan.facts import FactsTable
from imgrec.auditing.scan.scan import scan
from imgrec.core.config.checks import check_choice
from imgrec.data.samples import Samples
from imgrec.data.sources.assemble import storable
from imgrec.data.sources.targets import read_target
from imgrec.errors import MissingExtraError

__all__ = ["AuditSettings", "audit", "audit_target", "relative_paths", "run_audit"]

_PACKAGES = ("imgrec", "numpy", "pillow", "scikit-learn", "cleanlab")


@dataclass(frozen=True)
class AuditSettings:
    """What to look for. Nothing in here changes where or how fast; that is given to `run_audit`.

    labels: look for wrong labels. quick: broken files, exact duplicates and statistics alone.
    features, weights: a network of torchvision that describes the images, and its weights; None: described by hand.
    """

    labels: bool = True
    quick: bool = False
    features: str | None = None
    weights: str | None = None
    seed: int = 1


@dataclass
class _Run:
    """What is known so far."""

    parts: Mapping[str, Samples]
    facts: FactsTable
    paths: Sequence[str]
    settings: AuditSettings
    say: Callable[[str], None]
    duplicates: Sequence[str] = ()
    not_run: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    summaries: dict[str, Any] = field(default_factory=dict)


def audit(target: str | Path | None = None, *overrides: str, output: str | Path | None = None, **options: Any) -> Audit:
    """Look for what would spoil a result: broken files, duplicates, leaks across splits, wrong labels, shortcuts.

    Args:
        target: A folder or a table; None where the overrides name the data.
        *overrides: As on the command line: `"data.label_column=kind"`.
        output: Folder for the report (audit.html, audit.json, plan.csv); None writes nothing.
        **options: `labels=False`, `quick=True`, `features="mobilenet_v2"`, `weights="DEFAULT"`, `seed=1`,
            `workers=2`: as the flags of `imgrec audit`.

    Returns:
        The audit: `findings`, `facts`, `sections`.

    Raises:
        ConfigError: An override or option that is not valid.
        DataError: Nothing there, or no image in it.
    """
    workers = options.pop("workers", None)
    for option in options:
        check_choice("audit", option, [*(one.name for one in fields(AuditSettings)), "workers"])
    place = None if output is None else Path(output)
    name = None if target is None else str(target)
    return audit_target(name, overrides, settings=AuditSettings(**options), output=place, workers=workers)


def audit_target(
    target: str | None,
    overrides: Sequence[str],
    *,
    settings: AuditSettings,
    output: Path | None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Audit:
    """Audit what a target and overrides name, and write the report into `output`, if given. Arguments: see `run_audit`."""
    if output is not None:
        check_output(output, target, overrides)
    data = read_target(target, overrides)
    found = run_audit(
        data.parts,
        class_names=data.class_names,
        target=shell_line([*([target] if target is not None else []), *overrides]),
        base=base_of(target, overrides),
        settings=settings,
        notes=[note.text for note in data.notes],
        workers=workers,
        store=None if output is None else output / STORE_NAME,
        progress=progress,
        say=say,
    )
    if output is not None:
        say("Writing the report")
        write_audit(found, data.parts, target=target, words=overrides, output=output)
    return found


def run_audit(
    parts: Mapping[str, Samples],
    *,
    class_names: Sequence[str],
    target: str,
    base: Path | None,
    settings: AuditSettings,
    notes: Sequence[str] = (),
    workers: int | None = None,
    store: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Audit:
    """Look at every image of `parts`, and return what was found.

    target: what the report calls the data. base: the folder that paths in the report count from; None: as they are.
    notes: what is known already, for the report. workers, store, progress: as `scan` has them, they change no result.
    say: is told what comes next.
    Raises: ConfigError, WeightsError: `settings.features` or its weights cannot be had.
    """
    scan_notes: list[str] = []
    facts = scan(parts, class_names=class_names, workers=workers, store=store, progress=progress, notes=scan_notes)
    run = _Run(parts, facts, relative_paths(facts.name, base), settings, say, notes=[*notes, *scan_notes])
    sections = _sections(run)
    return Audit(
        target=target,
        facts=facts,
        paths=run.paths,
        sections=sections,
        duplicates=run.duplicates,
        not_run=run.not_run,
        settings=asdict(settings),
        versions=_versions(),
        notes=run.notes,
        summaries=run.summaries,
        fingerprint=fingerprint(facts, run.paths),
    )


def relative_paths(names: Sequence[str], base: Path | None) -> list[str]:
    """Return the names as seen from the folder `base`, with "/"; names that are not below it stay as they are."""
    start = "" if base is None else storable(os.path.join(base, ""))  # noqa: PTH118  # ends in a separator
    if start in ("", "./"):
        return [name.removeprefix("./").replace(os.sep, "/") for name in names]
    return [name.removeprefix(start).replace(os.sep, "/") for name in names]


def fingerprint(facts: FactsTable, paths: Sequence[str]) -> str:
    """Return a SHA-256 over what the data is: paths, splits, labels and pixels, wherever the folder lies."""
    digest = hashlib.sha256("\0".join(facts.class_names).encode("utf-8", "surrogatepass"))
    for row, path in enumerate(paths):
        line = f"\n{facts.split[row]}\0{path}\0{int(facts.label[row])}\0{facts.code[row]}\0"
        digest.update(line.encode("utf-8", "surrogatepass") + bytes(facts.pixel_hash[row]))
    return digest.hexdigest()


def _sections(run: _Run) -> list[Section]:
    """Return all sections in the order of the page."""
    facts, paths = run.facts, run.paths
    run.say("Comparing images")
    groups = exact_groups(facts)
    pairs = [] if run.settings.quick else near_pairs(facts)
    run.duplicates = duplicate_groups(facts, pairs)
    exact, near = duplicate_sections(paths, groups=groups, pairs=pairs)
    run.summaries["near_evidence"] = [
        {"paths": [paths[pair.first], paths[pair.second]]}
        | {"kind": pair.kind, "distance": pair.distance, "similarity": pair.similarity}
        for pair in pairs
    ]
    exact_leaks, near_leaks = leak_sections(facts, paths, groups=groups, pairs=pairs)
    _say_what_was_not_run(run)
    labels = _labels(run)
    run.say("Looking for groups, shortcuts and outliers")
    return [
        broken_section(facts, paths),
        exact_leaks,
        conflict_section(facts, paths, groups=groups, pairs=pairs),
        group_section(paths, crossing_groups(facts)),
        near_leaks,
        labels,
        leaking_section(paths, leaking_groups(facts, pairs, seed=run.settings.seed)),
        shortcut_section(facts, paths, shortcuts(facts, seed=run.settings.seed)),
        exact,
        near,
        class_section(facts, paths, summaries=run.summaries),
        outlier_section(facts, paths),
        format_section(facts, paths, summaries=run.summaries),
    ]


def _say_what_was_not_run(run: _Run) -> None:
    if len(run.parts) < 2:
        run.not_run["leaks"] = "the data names no splits; exact and near duplicates are what a random one would tear"
    if run.facts.group is None:
        run.not_run["groups"] = "the data names none; data.group_pattern or data.group_column would"
    else:
        run.not_run["leaking_groups"] = "the data names its groups"
    if run.settings.quick:
        run.not_run |= {"near_duplicates": "--quick", "leaks.near": "--quick"}


def _labels(run: _Run) -> Section:
    """Return the labels that look wrong; where that cannot be told, none, and the reason in `run.not_run`."""
    from imgrec.auditing.labels.labels import suspected_labels

    settings = run.settings
    empty = Section("suspected_labels", [])
    if not settings.labels or settings.quick:
        run.not_run["suspected_labels"] = "--quick" if settings.quick else "--no-labels"
        return empty
    run.say("Judging labels")
    try:
        ranking = suspected_labels(
            run.facts,
            run.parts,
            features=settings.features,
            weights=settings.weights,
            duplicates=run.duplicates,
            seed=settings.seed,
        )
    except MissingExtraError as error:
        run.not_run["suspected_labels"] = str(error)
        return empty
    run.notes += ranking.notes
    if len(ranking.rows) == 0:
        run.not_run["suspected_labels"] = " ".join(ranking.notes) or "no image has a label"
    return label_section(run.facts, run.paths, ranking=ranking, summaries=run.summaries)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
