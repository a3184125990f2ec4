"""`imgrec audit`: audit a data set, or write a cleaned table from an edited plan."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.cli.parser import Parser
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.targets import OVERRIDES_HELP
from imgrec.errors import ConfigError

if TYPE_CHECKING:
    from imgrec.auditing.findings import Audit

__all__ = ["main", "make_parser"]

_FAILED = 1
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_EPILOG = """\
exit code: 0 no finding of the severity --fail-on, 1 at least one, 2 could not run, 130 interrupted (run it again to
resume).

  error    broken files; an image or a group in two splits; copies of an image with different labels; a class without
           training images
  warning  near-duplicates in two splits or with different labels; suspected label errors; groups in file names;
           shortcuts; exact duplicates; a class 10 times as large as another; rare formats; blank images
  info     near-duplicates within a split; a class 3 times as large as another; outliers; unusual files

examples:
  imgrec audit photos/
  imgrec audit labels.csv data.split_column=split --output audit_labels
  imgrec audit data=torchvision data.name=FashionMNIST data.root=sets --output audit_fashion
  imgrec audit photos/ --apply audit/plan.csv --output clean.csv
"""


def main() -> None:
    """Run the command line. Exits with 1 if the audit fails and with 130 if it was interrupted."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    if arguments.apply is not None:
        _apply(arguments)
        return
    output = Path(arguments.output or "audit")
    try:
        found = _audit(arguments, output)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nimgrec: interrupted. Run the same command again to resume; {output} has what was read.\n")
        raise SystemExit(_INTERRUPTED) from None
    _show(found, output)
    if found.fails(arguments.fail_on):
        raise SystemExit(_FAILED)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec audit",
        description="Find broken files, duplicates, leaks between splits, label errors, shortcuts and outliers.",
        epilog=_EPILOG,
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help=f"a folder, a table, or {OVERRIDES_HELP}")
    parser.add_argument("--output", metavar="PATH", help="folder of the report (default: audit); with --apply: table")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one per CPU core)")
    parser.add_argument("--fail-on", choices=("error", "warning", "info", "never"), default="error")
    parser.add_argument("--quick", action="store_true", help="skip near-duplicates and labels")
    parser.add_argument("--no-labels", action="store_true", help="do not look for wrong labels")
    parser.add_argument("--features", metavar="NAME", help="torchvision model whose features judge the labels")
    parser.add_argument("--weights", metavar="FILE", help="its weights: a file, or DEFAULT to download them")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the folds in which labels are judged")
    parser.add_argument("--apply", metavar="PLAN", help="write the cleaned table that an edited plan.csv describes")
    parser.add_argument("--overwrite", action="store_true", help="with --apply: replace an existing table")
    return parser


def _audit(arguments: argparse.Namespace, output: Path) -> "Audit":
    from imgrec.auditing.audit import audit

    if arguments.weights and not arguments.features:
        raise ConfigError("--weights needs the model that they belong to: --features mobilenet_v2 --weights FILE.")
    line = ProgressLine(sys.stderr)
    try:
        return audit(
            *arguments.target,
            output=output,
            workers=arguments.workers,
            progress=line.update,
            on_stage=line.say,
            labels=not arguments.no_labels,
            quick=arguments.quick,
            features=arguments.features,
            weights=arguments.weights,
            seed=arguments.seed,
        )
    finally:
        line.close()


def _show(audit: "Audit", output: Path) -> None:
    from imgrec.auditing.findings import SEVERITIES
    from imgrec.auditing.output.explanations import EXPLANATIONS
    from imgrec.auditing.output.page import title, verdict

    headline, detail = verdict(audit)
    lines = [f"{len(audit.facts):,} images of {audit.target}", ""]
    if audit.worst_first:
        lines.append(f"{'errors':>9}{'warnings':>10}{'infos':>9}")
    for section in audit.worst_first:
        found = Counter(case.severity for case in section.cases)
        counts = [f"{found[severity]:,}" if found[severity] else "-" for severity in SEVERITIES]
        lines.append(f"{counts[0]:>9}{counts[1]:>10}{counts[2]:>9}  {EXPLANATIONS[section.key].title}")
    lines += [f"Not checked: {title(key)}: {reason}" for key, reason in audit.not_run.items()]
    lines += ["", f"{headline}. {detail}", f"Report: {output / 'audit.html'}, audit.json, plan.csv"]
    _write("\n".join(lines))


def _apply(arguments: argparse.Namespace) -> None:
    from imgrec.auditing.apply_plan import apply_plan
    from imgrec.auditing.output.shell import shell_line

    table = apply_plan(arguments.apply, arguments.target, output=arguments.output, overwrite=arguments.overwrite)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in table.counts.items() if count)
    command = shell_line(["data=table", f"data.path={arguments.output}", *table.overrides])
    _write(f"{arguments.output}: {counts}.\nTrain with it: imgrec train {command}")


def _write(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
