"""report.html: one page that shows all that is known of an evaluation, from the files in its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import write_bytes
from imgrec.evaluation.predictions.predictions import visible
from imgrec.evaluation.report.blocks import Absent, Block, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder, read_folder
from imgrec.evaluation.report.render import render_page
from imgrec.evaluation.report.sections.baselines import baselines_blocks
from imgrec.evaluation.report.sections.calibration import calibration_blocks, decisions_blocks, ood_blocks
from imgrec.evaluation.report.sections.card import card_section
from imgrec.evaluation.report.sections.classes import confusion_section, curves_section, per_class_section
from imgrec.evaluation.report.sections.headline import headline, scores_section
from imgrec.evaluation.report.sections.images import explain_blocks, mistakes_section
from imgrec.evaluation.report.sections.origin import config_text, data_blocks, provenance_blocks
from imgrec.evaluation.report.sections.robustness import attack_blocks, robustness_blocks, slices_blocks, tta_blocks
from imgrec.evaluation.report.sections.threshold import threshold_section
from imgrec.evaluation.report.sections.training import training_section

__all__ = ["REPORT_NAME", "write_report"]

REPORT_NAME = "report.html"
EVALUATE = "python evaluate.py checkpoint=best.ckpt"
DATA_LEADS = {
    True: "What the network was made and judged with.",
    False: "What the network was judged with, and the other splits of that data.",
}

Make = Callable[[dict[str, Any]], list[Block]]


def write_report(folder: Path) -> Path:
    """Write report.html into the folder of an evaluation, from what is in it; return its path.

    A file that is missing leaves a line that says how to get it; one that is damaged, a line that says so.
    Raises: DataError: the folder holds no evaluation. RunFolderError: the page cannot be written.
    """
    content = to_html(read_folder(folder))
    write_bytes(folder / REPORT_NAME, content)
    return folder / REPORT_NAME


def to_html(folder: EvaluationFolder) -> bytes:
    """Return the page."""
    head = headline(folder)
    sections = _sections(folder)
    name = str((folder.provenance.get("model") or {}).get("name") or "")
    title = f"{visible(name)}: evaluation" if name else "Evaluation"
    about = folder.provenance
    return render_page(
        "report.html",
        title=title,
        sections=[section for section in sections if not section.is_empty],
        absent=[section for section in sections if section.is_empty],
        head=head,
        config=visible_lines(config_text(about)) if about.get("config") else "",
        folder=visible(str(folder.path)),
        finished=str(about.get("finished") or "")[:10],
    )


def visible_lines(text: str) -> str:
    """Return text with its line ends kept and whatever else cannot be printed written out."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _sections(folder: EvaluationFolder) -> list[Section]:
    from_file = partial(_from_file, folder)
    return [
        scores_section(folder),
        training_section(folder),
        confusion_section(folder),
        per_class_section(folder),
        curves_section(folder),
        from_file("calibration.json", calibration_blocks, "calibration", "Can its confidence be believed?",
                  "Of all answers given with 80 % confidence, 80 % should be right.", EVALUATE),
        threshold_section(folder),
        from_file("decisions.json", decisions_blocks, "decisions", "Decisions: guaranteed and measured",
                  "Rules made on one part of the data, and what they keep on the other.", EVALUATE),
        mistakes_section(folder),
        from_file("explain.json", partial(explain_blocks, folder=folder.path), "explain", "Where it looked",
                  "Maps of what the answer depends on, each with its checks.", f"{EVALUATE} explain=gradcam"),
        from_file("slices.json", slices_blocks, "slices", "Slices",
                  "Parts of the data on which the network may be weaker, the worst first.", EVALUATE),
        from_file("robustness.json", robustness_blocks, "robustness", "Robustness",
                  "What is left of the score when images are noisy, blurred, foggy or badly compressed.",
                  f"{EVALUATE} robustness=corruptions"),
        from_file("attack.json", attack_blocks, "attacks", "Attacks",
                  "What is left when somebody changes images on purpose.", f"{EVALUATE} robustness=attack"),
        from_file("ood.json", ood_blocks, "ood", "Images of something else",
                  "Whether images that belong to no class can be told from the data's own.",
                  f"{EVALUATE} ood=folder ood.folder=foreign"),
        from_file("baselines.json", baselines_blocks, "baselines", "Classical baselines",
                  "What other methods reach on the same split.", "imgrec baselines data=folder data.root=photos"),
        from_file("tta.json", tta_blocks, "tta", "Test-time augmentation",
                  "Asking the network several times about changed copies of each image.", f"{EVALUATE} tta=flip"),
        Section("data", "Data", DATA_LEADS[folder.is_of_training], data_blocks(folder)),
        from_file("provenance.json", provenance_blocks, "provenance", "Provenance",
                  "Enough to make these numbers again.", EVALUATE),
        card_section(folder),
    ]  # fmt: skip


def _from_file(
    folder: EvaluationFolder, name: str, make: Make, anchor: str, title: str, lead: str, command: str
) -> Section:
    part = folder.part(name)
    if part.problem:
        blocks: list[Block] = [Absent(part.problem, command, is_damaged=True)]
    elif part.data is None:
        blocks = [Absent(f"Not measured: {name} is not in this folder.", command)]
    else:
        try:
            blocks = make(part.data)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = f"{name} is damaged or of another imgrec ({type(error).__name__}: {visible(str(error))[:120]})."
            blocks = [Absent(reason, command, is_damaged=True)]
    return Section(anchor, title, lead, blocks)
