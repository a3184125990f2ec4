"""`imgrec split`: split a data set into train, val and test, or folds, without leaks, and write a split file."""

import argparse
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.cli.inputs.split_groups import TIES, column_of, find_groups
from imgrec.cli.inputs.split_summary import describe_split, split_warnings
from imgrec.cli.parser import Parser
from imgrec.data.samples import SPLITS, Samples
from imgrec.data.sources.targets import OVERRIDES_HELP, Target, is_override, read_target
from imgrec.data.splits.by_time import read_times, split_by_time
from imgrec.data.splits.folds import Sides, deal_folds, deal_once
from imgrec.data.splits.join import pool
from imgrec.data.splits.split_changes import label_texts, relative_names
from imgrec.data.splits.split_format import SplitFile, write_split_file
from imgrec.errors import ConfigError, DataError

__all__ = ["main", "make_parser"]

DEFAULT_OUTPUT = Path("splits.json")


def main() -> None:
    """Run `imgrec split` with the arguments in sys.argv.

    Raises:
        ImgrecError: Such a split is not possible.
    """
    options = _parse(sys.argv[1:])
    target = read_target(options.target, options.overrides)
    whole = pool(target.parts.values())
    _check_labels(whole, target)
    names = relative_names(whole.names)
    for note in [*target.notes, *_pooled(target)]:
        sys.stderr.write(f"note: {note}\n")
    groups = find_groups(options, whole, names, target)
    fractions = _fractions(options)
    split = SplitFile(
        names=names,
        labels=label_texts(whole, target.class_names),
        sides=_deal(options, whole, groups, fractions),
        class_names=list(target.class_names),
        seed=options.seed,
        folds=options.folds or 0,
        repeats=options.repeats,
        groups=groups or (),
        rule=_rule(options, whole, fractions),
        command=shlex.join(["imgrec", "split", *sys.argv[1:]]),
    )
    split = write_split_file(split, options.output)
    for warning in split_warnings(split, whole.labels, fractions=fractions):
        sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write(f"{describe_split(split, whole.labels, fractions=fractions)}\n\n{_next_steps(options)}\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="imgrec split",
        description="Split images into train, val and test, or into folds, without leaks between them.",
        epilog=f"Other sources: {OVERRIDES_HELP}.\nHow the parts are made: docs/splits.md.",
    )
    add = parser.add_argument
    add(
        "arguments",
        nargs="*",
        metavar="TARGET",
        help="folder of class folders, or a table; or overrides: data=... key=value",
    )
    add("--output", type=Path, metavar="FILE", help="split file to write (default: splits.json, if it does not exist)")
    add("--folds", type=int, help="number of folds, each the test split once; default: a single split")
    add("--repeats", type=int, default=1, help="repeat the folds with other random splits (default 1)")
    add("--val", type=float, default=0.1, help="share of the validation split (default 0.1)")
    add("--test", type=float, help="share of the test split (default 0.1; with --folds 1/folds)")
    add(
        "--group",
        metavar="COLUMN",
        help="column of the table (or of one in the folder) with the group of an image; groups are not split",
    )
    add(
        "--group-pattern",
        metavar="REGEX",
        help=r"regular expression whose first group, in a file name, is the group: '^(\d+)_'",
    )
    add(
        "--time",
        metavar="COLUMN",
        help="column with a date or a number: the earliest images for train, the latest for test",
    )
    add("--keep-duplicates", choices=tuple(TIES), default="near", help="which duplicates stay together")
    add("--scan", type=Path, metavar="FILE", help="cache of the search for duplicates, which resumes from it")
    add("--workers", type=int, help="processes that search for duplicates (default: one per CPU)")
    add("--seed", type=int, default=1, help="random seed (default 1)")
    return parser


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    options = make_parser().parse_intermixed_args(list(arguments))
    targets = [argument for argument in options.arguments if not is_override(argument)]
    if len(targets) > 1 or not options.arguments:
        raise ConfigError(
            "Name one folder or table, or the data as overrides: imgrec split photos --output splits.json"
        )
    options.target = targets[0] if targets else None
    options.overrides = [argument for argument in options.arguments if is_override(argument)]
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    if options.output is None:
        options.output = DEFAULT_OUTPUT
        if DEFAULT_OUTPUT.exists():
            raise ConfigError(f"{DEFAULT_OUTPUT} exists. Add --output {DEFAULT_OUTPUT} to replace it, or a new name.")
    if options.seed < 0 or options.repeats < 1 or (options.workers is not None and options.workers < 1):
        raise ConfigError("--seed is 0 or more, --repeats and --workers 1 or more.")
    if options.folds is None:
        if options.repeats > 1:
            raise ConfigError("--repeats is the number of repetitions of folds. Add --folds 5.")
        return
    if options.folds < 2:
        raise ConfigError(f"--folds {options.folds}: two folds or more are needed, one of them as the test split.")
    if options.time is not None:
        raise ConfigError("--time makes a single split, from early to late; --folds are random. Choose one of them.")
    if options.test is not None:
        raise ConfigError(f"With --folds {options.folds} each fold is the test split once. Remove --test.")


def _fractions(options: argparse.Namespace) -> dict[str, float]:
    test = 1 / options.folds if options.folds else 0.1 if options.test is None else options.test
    fractions = {"train": round(1 - options.val - test, 9), "val": options.val, "test": test}
    if min(fractions.values()) < 0 or fractions["train"] == 0:
        raise ConfigError(f"--val {options.val:g} and --test {test:.4g}: each must be 0 or more, their sum below 1.")
    return fractions


def _check_labels(whole: Samples, target: Target) -> None:
    without = [name for name, label in zip(whole.names, whole.labels, strict=True) if np.all(label == -1)]
    if without:
        raise DataError(
            f"{target.where}: {len(without)} of {len(whole)} images have no label: {', '.join(without[:4])}. A "
            f"split for training needs the label of each."
        )


def _pooled(target: Target) -> list[str]:
    if len(target.parts) < 2:
        return []
    sizes = ", ".join(f"{name} {len(samples)}" for name, samples in target.parts.items())
    return [f"The data has splits ({sizes}). All images are pooled and split again."]


# The split


def _deal(
    options: argparse.Namespace, whole: Samples, groups: Sequence[str] | None, fractions: Mapping[str, float]
) -> Sides:
    if options.time is not None:
        times = read_times(column_of(options, options.time, whole.names), whole.names, column=options.time)
        sides = split_by_time(times, fractions=fractions, groups=groups)
        _say_early(times, sides)
        return sides
    if options.folds is None:
        return deal_once(whole.labels, fractions=fractions, seed=options.seed, groups=groups)
    return deal_folds(
        whole.labels,
        folds=options.folds,
        repeats=options.repeats,
        val_fraction=options.val,
        seed=options.seed,
        groups=groups,
    )


def _say_early(times: Any, sides: Sides) -> None:
    is_train = sides[:, 0] == SPLITS.index("train")
    early = int(np.count_nonzero(~is_train & (times < times[is_train].max())))
    if early:
        sys.stderr.write(
            f"note: {early} images in val and test are earlier than the latest in train: their groups end later.\n"
        )


def _rule(options: argparse.Namespace, whole: Samples, fractions: Mapping[str, float]) -> dict[str, Any]:
    groups = [
        *(["the data's own groups"] if whole.groups is not None else []),
        *([f"column {options.group}"] if options.group is not None else []),
        *([f"pattern {options.group_pattern}"] if options.group_pattern is not None else []),
    ]
    values = {"val": fractions["val"], "test": fractions["test"], "group": groups, "time": options.time}
    ties = [*groups, *([TIES[options.keep_duplicates]] if options.keep_duplicates != "no" else [])]
    how = f"along the time in column {options.time}" if options.time else "at random, stratified by class"
    parts = ", ".join(f"{name} {share:.4g}" for name, share in fractions.items())
    again = f", {options.repeats} times" if options.repeats > 1 else ""
    what = f"{options.folds} folds, each the test once{again}" if options.folds else "one split"
    together = f"together stays what is tied by {' or by '.join(ties)}" if ties else "nothing is kept together"
    return {"summary": f"{what} ({parts}), {how}; {together}", **values, "keep_duplicates": options.keep_duplicates}


def _next_steps(options: argparse.Namespace) -> str:
    from imgrec.core.config.overrides import quote

    data = f"data=folder data.root={options.target}" if options.target and Path(options.target).is_dir() else "data=..."
    if options.target and Path(options.target).is_file():
        data = f"data=table data.path={options.target}"
    data = " ".join(options.overrides) if options.target is None else " ".join([data, *options.overrides])
    name = str(options.output)
    file = name if re.fullmatch(r"[\w./-]+", name) else shlex.quote(quote(name))
    count = (options.folds or 0) * options.repeats
    fold = f" data.fold={','.join(map(str, range(count)))}" if count else ""
    return f"Written: {name}. Use it: python train.py {'-m ' if count else ''}{data} data.splits={file}{fold}"
