"""The folder of an audit: writes plan.csv, audit.html and audit.json, and checks where the folder may be."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from imgrec.auditing.findings import Audit, to_json
from imgrec.auditing.output.page import command_fields, to_html
from imgrec.auditing.output.plan import propose
from imgrec.auditing.output.plan_file import write_plan
from imgrec.core.files.atomic_write import write_bytes
from imgrec.data.samples import Samples
from imgrec.errors import ConfigError

__all__ = ["STORE_NAME", "base_of", "check_output", "write_audit"]

STORE_NAME = "facts.sqlite"
_PLAN_DIGEST = "plan_sha256"  # key of audit.json, by which an edited plan is recognised


def write_audit(
    audit: Audit, splits: Mapping[str, Samples], *, target: str | None, overrides: Sequence[str], output: Path
) -> None:
    """Write plan.csv, audit.html and audit.json. audit.json comes last: where it exists, the others are complete."""
    plan = write_plan(audit, propose(audit))
    audit = replace(audit, summaries={**audit.summaries, _PLAN_DIGEST: hashlib.sha256(plan).hexdigest()})
    _keep_edited_plan(output)
    write_bytes(output / "plan.csv", plan)
    page = to_html(audit, splits, fields=command_fields(target=target, overrides=overrides, output=output))
    write_bytes(output / "audit.html", page)
    write_bytes(output / "audit.json", to_json(audit))


def _keep_edited_plan(output: Path) -> None:
    """Rename a plan that was edited, so that the new one does not replace it."""
    plan, report = output / "plan.csv", output / "audit.json"
    if not plan.is_file():
        return
    written = ""
    with suppress(OSError, ValueError, KeyError, TypeError):  # no report, or not one of ours: the plan counts as edited
        written = json.loads(report.read_text(encoding="utf-8"))[_PLAN_DIGEST]
    if hashlib.sha256(plan.read_bytes()).hexdigest() == written:
        return
    number = 1
    while (kept := output / f"plan-{number}.csv").exists():
        number += 1
    plan.rename(kept)
    sys.stderr.write(f"\nimgrec: plan.csv was edited and is kept as {kept}.\n")


def base_of(target: str | None, overrides: Sequence[str]) -> Path | None:
    """Return the folder that paths in the report are relative to; None where the data is not in files."""
    if target is not None and Path(target).is_dir():
        return Path(target)
    given = dict(override.partition("=")[::2] for override in overrides)
    if root := given.get("data.root", "").strip("'\""):
        return Path(root)
    table = target or given.get("data.path", "").strip("'\"")
    return Path(table).parent if table else None


def check_output(output: Path, target: str | None, overrides: Sequence[str]) -> None:
    """Refuse a report folder inside the data, which the next audit would read as a class.

    Raises:
        ConfigError: `output` is the data's folder or inside it.
    """
    base = base_of(target, overrides)
    is_folder = target is None or Path(target).is_dir()
    if base is None or not is_folder or not base.is_dir():
        return
    inner, outer = os.path.realpath(output), os.path.realpath(base)
    if inner == outer or inner.startswith(os.path.join(outer, "")):  # noqa: PTH118
        raise ConfigError(f"--output {output} is inside the data ({base}). Name a folder outside: --output PATH.")
