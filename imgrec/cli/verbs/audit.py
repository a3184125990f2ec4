"""`imgrec audit`: look at data before it spoils a result; and write a cleaned table from an edited plan."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.cli.parser import Parser
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.targets import OVERRIDES_HELP, is_override, read_target
from imgrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from imgrec.auditing.findings import Audit

__all__ = ["main", "make_parser"]

_FAILED = 1
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_EPILOG = """\
exit code: 0 nothing as bad as --fail-on, 1 something, 2 could not run, 130 stopped (the same command goes on).

  error    broken files; one image or one group in two splits; copies of an image with different labels; a class
           without a training image
  warning  near duplicates in two splits or with different labels; labels that look wrong; groups that file names show;
           shortcuts; exact duplicates; classes 10 times as large as others; stray formats; blank images
  info     near duplicates within a split; classes 3 times as large as others; outliers; oddities of files

examples:
  imgrec audit photos/
  imgrec audit labels.csv data.split_column=split --output audit/
  imgrec audit data=torchvision data.name=FashionMNIST data.root=sets
  imgrec audit photos/ --apply audit/plan.csv --output clean.csv
"""


def main() -> None:
    """Read the command line and audit, or apply a plan. Ends the process with 1 or 130 where that is the outcome."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    target, words = _split_words(arguments.target)
    store = None
    from imgrec.auditing.output.folder import STORE_NAME

    try:
        if arguments.apply is not None:
            _apply(target, words, arguments)
            return
        output = Path(arguments.output or "audit")
        store = output / STORE_NAME
        audit = _audit(target, words, arguments, output=output)
    except KeyboardInterrupt:
        kept = f" What was read is kept in {store}; the same command goes on from there." if store else ""
        sys.stderr.write(f"\nimgrec: stopped.{kept}\n")
        raise SystemExit(_INTERRUPTED) from None
    if audit.fails(arguments.fail_on):
        raise SystemExit(_FAILED)


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec audit",
        description="Look for what would spoil a result: broken files, duplicates, leaks across splits, wrong labels.",
        epilog=_EPILOG,
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help=f"a folder, a table, or {OVERRIDES_HELP}")
    parser.add_argument("--output", metavar="PATH", help="folder of the report (default: audit); with --apply: table")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one a processor)")
    parser.add_argument("--fail-on", choices=("error", "warning", "info", "never"), default="error")
    parser.add_argument("--quick", action="store_true", help="no near duplicates and no labels")
    parser.add_argument("--no-labels", action="store_true", help="do not look for wrong labels")
    parser.add_argument("--features", metavar="NAME", help="a network of torchvision to judge labels by")
    parser.add_argument("--weights", metavar="FILE", help="its weights: a file, or DEFAULT to fetch them")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the folds in which labels are judged")
    parser.add_argument("--apply", metavar="PLAN", help="write the table that an edited plan.csv makes of the data")
    parser.add_argument("--overwrite", action="store_true", help="with --apply: replace a table that is there")
    return parser


def _split_words(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the folder or table, and the key=value words. Raises: ConfigError: neither, or two targets."""
    words = [word for word in arguments if is_override(word)]
    targets = [word for word in arguments if not is_override(word)]
    if len(targets) > 1:
        raise ConfigError(f"One folder or table at a time, not {' and '.join(targets)}.")
    if not targets and not words:
        raise ConfigError("Name what to look at: imgrec audit FOLDER, or a table, or data=... words.")
    return (targets[0] if targets else None), words


# The audit


def _audit(target: str | None, words: Sequence[str], arguments: argparse.Namespace, *, output: Path) -> "Audit":
    from imgrec.auditing.audit import AuditSettings, audit_target

    if arguments.workers is not None and arguments.workers < 1:
        raise ConfigError(f"--workers {arguments.workers}, but it must be 1 or more.")
    if arguments.weights and not arguments.features:
        raise ConfigError("--weights are those of a network: --features mobilenet_v2 --weights FILE.")
    settings = AuditSettings(
        labels=not arguments.no_labels,
        quick=arguments.quick,
        features=arguments.features,
        weights=arguments.weights,
        seed=arguments.seed,
    )
    line = ProgressLine(sys.stderr)
    try:
        audit = audit_target(
            target,
            words,
            settings=settings,
            output=output,
            workers=arguments.workers,
            progress=line.update,
            say=line.say,
        )
    finally:
        line.close()
    _show(audit, output)
    return audit


def _show(audit: "Audit", output: Path) -> None:
    from imgrec.auditing.findings import SEVERITIES
    from imgrec.auditing.output.explanations import EXPLANATIONS
    from imgrec.auditing.output.page import verdict

    headline, detail = verdict(audit)
    lines = [f"{len(audit.facts):,} images of {audit.target}", ""]
    if audit.worst_first:
        lines.append(f"{'errors':>9}{'warnings':>10}{'notes':>9}")
    for section in audit.worst_first:
        found = Counter(case.severity for case in section.cases)
        counts = [f"{found[severity]:,}" if found[severity] else "-" for severity in SEVERITIES]
        lines.append(f"{counts[0]:>9}{counts[1]:>10}{counts[2]:>9}  {EXPLANATIONS[section.key].title}")
    lines += [f"Not looked for: {key} ({reason})" for key, reason in audit.not_run.items()]
    lines += ["", f"{headline}. {detail}", f"Report: {output / 'audit.html'}, audit.json, plan.csv"]
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding) + "\n")


# The plan


def _apply(target: str | None, words: Sequence[str], arguments: argparse.Namespace) -> None:
    from imgrec.auditing.audit import relative_paths
    from imgrec.auditing.output.clean_table import clean_table
    from imgrec.auditing.output.folder import base_of
    from imgrec.auditing.output.plan_file import read_plan
    from imgrec.auditing.output.shell import shell_line
    from imgrec.core.files.atomic_write import write_bytes

    output = _table_path(arguments.output, overwrite=arguments.overwrite)
    data = read_target(target, words)
    names = [name for part in data.parts.values() for name in part.names]
    decisions = read_plan(
        Path(arguments.apply),
        paths=relative_paths(names, base_of(target, words)),
        class_names=data.class_names,
        splits=list(data.parts),
    )
    table = clean_table(data.parts, class_names=data.class_names, task=data.task, decisions=decisions, output=output)
    write_bytes(output, table.content)
    counts = ", ".join(f"{count:,} {words_}" for words_, count in table.counts.items() if count)
    command = shell_line(["data=table", f"data.path={output}", *table.words])
    sys.stdout.write(f"{output}: {counts}.\nTrain with it: python train.py {command}\n")


def _table_path(text: str | None, *, overwrite: bool) -> Path:
    """Return where the table goes. Raises: ConfigError: no name, another kind of file. DataError: it is there."""
    if text is None:
        raise ConfigError("--apply writes a new table; name it: --output clean.csv")
    path = Path(text)
    if path.suffix.lower() not in (".csv", ".jsonl", ".ndjson"):
        raise ConfigError(f"--output {text}: the table is CSV or JSON lines; end its name in .csv or .jsonl.")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists. Give another name, or --overwrite.")
    return path
