"""The audit of a data set: reads the data and runs every check; checks that cannot run are listed in `not_run`."""

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
from imgrec.auditing.scan.scan import Progress, scan
from imgrec.core.config.checks import check_count
from imgrec.core.system.process_state import kept_process_state
from imgrec.data.samples import Samples
from imgrec.data.sources.assemble import storable
from imgrec.data.sources.targets import is_override, read_target
from imgrec.errors import ConfigError, MissingExtraError, did_you_mean

__all__ = ["AuditSettings", "audit", "relative_paths", "run_audit", "target_and_overrides"]

_PACKAGES = ("imgrec", "numpy", "pillow", "scikit-learn", "cleanlab")

OnStage = Callable[[str], None]


@dataclass(frozen=True)
class AuditSettings:
    """Which checks run, and how labels are judged.

    Attributes:
        labels: Look for wrong labels.
        quick: Only broken files, exact duplicates and statistics.
        features: A torchvision model whose last layer describes the images; None: handcrafted features.
        weights: Weights of `features`: a file, "DEFAULT" to download them, None for those in torch's cache.
        seed: Of the folds in which labels are judged.
    """

    labels: bool = True
    quick: bool = False
    features: str | None = None
    weights: str | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        """Check what can be checked before any image is read."""
        check_count("seed", self.seed, at_least=0)
        if self.weights and not self.features:
            raise ConfigError(f"weights={self.weights}, but no model is named. Name one: features=mobilenet_v2.")


@dataclass
class _Run:
    """The state of an audit while its checks run."""

    splits: Mapping[str, Samples]
    facts: FactsTable
    paths: Sequence[str]
    settings: AuditSettings
    on_stage: OnStage
    duplicates: Sequence[str] = ()
    not_run: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    summaries: dict[str, Any] = field(default_factory=dict)


def audit(
    *data: str | Path,
    output: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    on_stage: OnStage = lambda _: None,
    **settings: Any,
) -> Audit:
    """Find broken files, duplicates, leaks between splits, label errors, shortcuts and outliers in a data set.

    Args:
        *data: A folder or a table, and overrides as on the command line: `audit("photos")`,
            `audit("labels.csv", "data.label_column=kind")`, `audit("data=torchvision", "data.name=FashionMNIST")`.
        output: Folder for the report (audit.html, audit.json, plan.csv); None writes nothing.
        workers: Processes that decode; None: one per CPU core. The result does not depend on it.
        progress: Called with the number of images read and the number of all images.
        on_stage: Called with a short text when the next stage begins.
        **settings: The fields of `AuditSettings`: `labels=False`, `quick=True`, `features="mobilenet_v2"`,
            `weights="DEFAULT"`, `seed=1`.

    Returns:
        The audit. `findings` lists what was found, the most severe first; a notebook shows it as a table.

    Raises:
        ConfigError: An override or a setting that is not valid.
        DataError: The data does not exist or holds no image.
        WeightsError: `weights` cannot be loaded.
    """
    target, overrides = target_and_overrides(data)
    known = [*(one.name for one in fields(AuditSettings)), "output", "workers"]
    for name in settings.keys() - set(known):
        raise ConfigError(f"audit has no setting {name!r}.{did_you_mean(name, known)} It has: {', '.join(known)}.")
    if workers is not None:
        check_count("workers", workers, at_least=1)
    chosen = AuditSettings(**settings)
    folder = None if output is None else Path(output)
    if folder is not None:
        check_output(folder, target, overrides)
    with kept_process_state():
        read = read_target(target, overrides)
        found = run_audit(
            read.parts,
            class_names=read.class_names,
            target=shell_line([*([target] if target is not None else []), *overrides]),
            base=base_of(target, overrides),
            settings=chosen,
            notes=[note.text for note in read.notes],
            workers=workers,
            store=None if folder is None else folder / STORE_NAME,
            progress=progress,
            on_stage=on_stage,
        )
        if folder is not None:
            on_stage("Writing the report")
            write_audit(found, read.parts, target=target, overrides=overrides, output=folder)
    return found


def target_and_overrides(data: Sequence[str | Path]) -> tuple[str | None, list[str]]:
    """Tell the folder or table (None where there is none) from the key=value overrides.

    Raises:
        ConfigError: No argument at all, or two folders or tables.
    """
    texts = [str(one) for one in data]
    overrides = [text for text in texts if is_override(text)]
    targets = [text for text in texts if not is_override(text)]
    if len(targets) > 1:
        raise ConfigError(f"One folder or table at a time, not {' and '.join(targets)}.")
    if not texts:
        raise ConfigError("Name the data: a folder, a table, or overrides such as data=torchvision.")
    return (targets[0] if targets else None), overrides


def run_audit(
    splits: Mapping[str, Samples],
    *,
    class_names: Sequence[str],
    target: str,
    base: Path | None,
    settings: AuditSettings,
    notes: Sequence[str] = (),
    workers: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
    on_stage: OnStage = lambda _: None,
) -> Audit:
    """Run all checks on images that are listed already.

    Args:
        splits: Split name to its images; "all" for unsplit data.
        class_names: Label i means `class_names[i]`.
        target: What the report calls the data.
        base: The folder that paths in the report are relative to; None: as they are.
        settings: Which checks run.
        notes: Notes on the data, for the report.
        workers: As in `audit`.
        store: SQLite file in which facts about files are cached, see `scan`.
        progress: As in `audit`.
        on_stage: As in `audit`.

    Raises:
        ConfigError: torchvision has no model `settings.features`.
        WeightsError: Its weights are not available.
    """
    scan_notes: list[str] = []
    facts = scan(splits, class_names=class_names, workers=workers, store=store, progress=progress, notes=scan_notes)
    run = _Run(splits, facts, relative_paths(facts.name, base), settings, on_stage, notes=[*notes, *scan_notes])
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
    """Return the names relative to the folder `base`, with "/"; names outside it are unchanged."""
    start = "" if base is None else storable(os.path.join(base, ""))  # noqa: PTH118  # ends in a separator
    if start in ("", "./"):
        return [name.removeprefix("./").replace(os.sep, "/") for name in names]
    return [name.removeprefix(start).replace(os.sep, "/") for name in names]


def fingerprint(facts: FactsTable, paths: Sequence[str]) -> str:
    """Return a SHA-256 of paths, splits, labels and pixels; it does not depend on where the folder is."""
    digest = hashlib.sha256("\0".join(facts.class_names).encode("utf-8", "surrogatepass"))
    for row, path in enumerate(paths):
        line = f"\n{facts.split[row]}\0{path}\0{int(facts.label[row])}\0{facts.code[row]}\0"
        digest.update(line.encode("utf-8", "surrogatepass") + bytes(facts.pixel_hash[row]))
    return digest.hexdigest()


def _sections(run: _Run) -> list[Section]:
    """Run the checks and return their sections in the order of the page."""
    facts, paths = run.facts, run.paths
    run.on_stage("Comparing images")
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
    _note_skipped_checks(run)
    labels = _labels(run)
    run.on_stage("Looking for groups, shortcuts and outliers")
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


def _note_skipped_checks(run: _Run) -> None:
    if len(run.splits) < 2:
        run.not_run["leaks"] = "the data has no splits; its duplicates would leak in a random split"
    if run.facts.group is None:
        run.not_run["groups"] = "the data has no groups; set data.group_pattern or data.group_column"
    else:
        run.not_run["leaking_groups"] = "the data has groups of its own"
    if run.settings.quick:
        run.not_run |= dict.fromkeys(("near_duplicates", "leaks.near"), "turned off (quick)")


def _labels(run: _Run) -> Section:
    """Return the suspected label errors; where labels cannot be judged, none, with the reason in `run.not_run`."""
    from imgrec.auditing.labels.labels import suspected_labels

    settings = run.settings
    empty = Section("suspected_labels", [])
    if not settings.labels or settings.quick:
        run.not_run["suspected_labels"] = "turned off (quick)" if settings.quick else "turned off (no labels)"
        return empty
    run.on_stage("Judging labels")
    try:
        ranking = suspected_labels(
            run.facts,
            run.splits,
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
