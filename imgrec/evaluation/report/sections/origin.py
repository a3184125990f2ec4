"""Dataset and provenance: images per split and class, and how the evaluation was produced."""

import json
from collections.abc import Mapping
from typing import Any

from imgrec.core.text import printable
from imgrec.evaluation.report.blocks import Block, Cell, Column, Facts, Paragraph, Table
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.numbers import count, duration

__all__ = ["config_text", "dataset_blocks", "provenance_blocks"]

SPLITS = ("train", "val", "test")
PHASES = {
    "total": "total time",
    "train": "training time",
    "predict": "inference time",
    "evaluation": "metrics and report time",
    "studies": "studies time",
}


def dataset_blocks(folder: EvaluationFolder) -> list[Block]:
    """Return images per split and class: of all splits in provenance.json, otherwise of the evaluated one."""
    data = folder.provenance.get("data") or {}
    noun = "label" if folder.is_multilabel else "class"
    counts: Mapping[str, Any] = data.get("splits") or {}
    names = data.get("class_names") or folder.class_names
    if not counts:
        counts = {"evaluated": [row["support"] for row in folder.metrics["per_class"]]}
        names = folder.class_names
    splits = [name for name in (*SPLITS, "evaluated") if name in counts]
    largest = max((max(counts[split], default=0) for split in splits), default=0) or 1
    rows = []
    for index, name in enumerate(names):
        shown = printable(str(name))
        numbers = [counts[split][index] for split in splits]
        rows.append([Cell(shown, shown.lower()), *(Cell(count(n), n, share=n / largest) for n in numbers)])
    columns = [Column(noun), *(Column(split, "bar") for split in splits)]
    table = Table(f"Images per {noun}", columns, rows, search=noun if len(rows) > 12 else "", num_shown=25)
    blocks: list[Block] = [Facts(facts), table] if (facts := _facts(data)) else [table]
    if not data:
        blocks.append(Paragraph("Only the evaluated split is known: provenance.json is not in this folder.", "note"))
    return blocks


def _facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    totals = data.get("num_images") or {}
    facts = [("source", printable(str(data["target"])))] if data.get("target") else []
    facts += [(f"{split} images", count(totals[split])) for split in SPLITS if split in totals]
    if data.get("excluded"):
        facts.append(("excluded, unreadable", count(data["excluded"])))
    if data.get("fingerprint"):
        facts.append(("fingerprint", printable(str(data["fingerprint"]))))
    return facts


def provenance_blocks(data: dict[str, Any]) -> list[Block]:
    """Return command, source, times, code, hardware, energy and versions."""
    hardware, code = data["hardware"], data["code"] or {}
    commit = str(code.get("commit") or "no git checkout") + (", with changes" if code.get("has_changes") else "")
    seed = data["seed"]
    rows = [
        ("command", printable(" ".join(map(str, data["command"])))),
        *((printable(name), printable(str(value))) for name, value in data["source"].items()),
        ("started, finished", f"{data['started']}, {data['finished']}"),
        *((PHASES.get(name, f"{name} time"), duration(value)) for name, value in data["seconds"].items()),
        ("seed", "\N{EN DASH}" if seed is None else str(seed)),
        ("imgrec, commit", f"{data['imgrec']}, {commit}"),
        ("model", _model(data.get("model") or {})),
        ("processor", f"{hardware['processor']}, {count(hardware['cores'], 'core')}, {hardware['memory_gib']} GiB"),
        ("GPU", ", ".join(map(str, hardware["gpus"])) or "none"),
        ("energy", _energy(data["energy"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in data["versions"].items())),
    ]
    return [Facts([(name, value) for name, value in rows if value])]


def _model(model: Mapping[str, Any]) -> str:
    if not model.get("name"):
        return ""
    parameters = model.get("num_parameters")
    return str(model["name"]) + (f", {parameters:,} parameters" if parameters else "")


def _energy(energy: Mapping[str, Any]) -> str:
    parts = [
        f"{title} {energy[key] / 3600:,.2f} Wh"
        for key, title in (("cpu_j", "processor"), ("gpu_j", "GPU"))
        if energy.get(key) is not None
    ]
    return "; ".join([", ".join(parts), str(energy.get("note") or "")]).strip("; ") or "not available"


def config_text(data: Mapping[str, Any]) -> str:
    """Return the configuration as indented JSON: that of the training run where the job had another one."""
    return json.dumps(data.get("trained_with") or data.get("config"), indent=2, ensure_ascii=False)
