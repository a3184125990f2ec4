"""Where it all comes from: the data, and how the numbers were made."""

import json
from collections.abc import Mapping
from typing import Any

from imgrec.evaluation.predictions.predictions import visible
from imgrec.evaluation.report.blocks import Block, Cell, Column, Facts, Table, Words
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.numbers import count, duration, short

__all__ = ["config_text", "data_blocks", "provenance_blocks"]

SPLITS = ("train", "val", "test")


def data_blocks(folder: EvaluationFolder) -> list[Block]:
    """Return images per split and class: of all splits where provenance.json has them, else of the scored one."""
    about = folder.provenance.get("data") or {}
    word = "label" if folder.is_multilabel else "class"
    counts: Mapping[str, Any] = about.get("splits") or {}
    names = about.get("class_names") or folder.class_names
    if not counts:
        counts = {"scored": [row["support"] for row in folder.scores["per_class"]]}
        names = folder.class_names
    splits = [name for name in (*SPLITS, "scored") if name in counts]
    largest = max((max(counts[split], default=0) for split in splits), default=0) or 1
    rows = []
    for index, name in enumerate(names):
        shown = visible(str(name))
        cells = [
            Cell(count(counts[split][index]), counts[split][index], share=counts[split][index] / largest)
            for split in splits
        ]
        rows.append([Cell(shown, shown.lower()), *cells])
    totals = about.get("num_images") or {}
    facts = [(f"{split} images", count(totals[split])) for split in SPLITS if split in totals]
    if about.get("target"):
        facts.insert(0, ("source", visible(str(about["target"]))))
    if about.get("left_out"):
        facts.append(("left out, unreadable", count(about["left_out"])))
    if about.get("fingerprint"):
        facts.append(("fingerprint", visible(str(about["fingerprint"]))))
    columns = [Column(word), *(Column(split, "bar") for split in splits)]
    table = Table(f"Images per {word}", columns, rows, search=word if len(rows) > 12 else "", num_shown=25)
    blocks: list[Block] = [Facts(facts), table] if facts else [table]
    if not about:
        blocks.append(Words("Only the scored split is known: provenance.json is not in this folder.", "note"))
    return blocks


def provenance_blocks(data: dict[str, Any]) -> list[Block]:
    """Return who made this, from what, on what, when, and at what cost."""
    seconds, hardware, energy = data["seconds"], data["hardware"], data["energy"]
    code = data["code"] or {}
    commit = str(code.get("commit") or "no git checkout") + (", with changes" if code.get("has_changes") else "")
    rows = [
        ("command", visible(" ".join(map(str, data["command"])))),
        *((visible(name), visible(str(value))) for name, value in data["source"].items()),
        ("started, finished", f"{data['started']}, {data['finished']}"),
        *((_phase(name), duration(value)) for name, value in seconds.items()),
        ("seed", short(data["seed"])),
        ("imgrec, commit", f"{data['imgrec']}, {commit}"),
        ("network", _network(data.get("model") or {})),
        ("processor", f"{hardware['processor']}, {count(hardware['cores'], 'core')}, {hardware['memory_gib']} GiB"),
        ("GPU", ", ".join(map(str, hardware["gpus"])) or "none"),
        ("energy", _energy(energy)),
        ("versions", ", ".join(f"{name} {version}" for name, version in data["versions"].items())),
    ]
    return [Facts([(name, value) for name, value in rows if value])]


def _phase(name: str) -> str:
    return {
        "total": "time in all",
        "train": "of it training",
        "predict": "of it the network and decoding",
        "evaluation": "of it scores, tables and pages",
        "studies": "of it studies",
    }.get(name, f"of it {name}")


def _network(model: Mapping[str, Any]) -> str:
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
    return "; ".join([", ".join(parts), str(energy.get("note") or "")]).strip("; ") or "not measurable here"


def config_text(data: Mapping[str, Any]) -> str:
    """Return the configuration as indented JSON: that of training where the job had another one."""
    return json.dumps(data.get("trained_with") or data.get("config"), indent=2, ensure_ascii=False)
