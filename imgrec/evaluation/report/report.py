"""report.html: one page with all results of an evaluation, generated from the files in its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import write_bytes
from imgrec.core.text import printable
from imgrec.evaluation.report.blocks import Absent, Block, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder, read_folder
from imgrec.evaluation.report.render import render_page
from imgrec.evaluation.report.sections.baselines import baselines_blocks
from imgrec.evaluation.report.sections.calibration import calibration_blocks, decisions_blocks, ood_blocks
from imgrec.evaluation.report.sections.card import card_section
from imgrec.evaluation.report.sections.classes import confusion_section, curves_section, per_class_section
from imgrec.evaluation.report.sections.headline import headline, metrics_section
from imgrec.evaluation.report.sections.images import mistakes_section, saliency_blocks
from imgrec.evaluation.report.sections.origin import config_text, dataset_blocks, provenance_blocks
from imgrec.evaluation.report.sections.robustness import attack_blocks, robustness_blocks, slices_blocks, tta_blocks
from imgrec.evaluation.report.sections.threshold import threshold_section
from imgrec.evaluation.report.sections.training import training_section

__all__ = ["REPORT_NAME", "write_report"]

REPORT_NAME = "report.html"
EVALUATE = "python evaluate.py checkpoint=best.ckpt"
DATASET_LEADS = {
    True: "The data of the training run.",
    False: "The data of this evaluation; the model may have been trained on other data.",
}

Make = Callable[[dict[str, Any]], list[Block]]


def write_report(folder: Path) -> Path:
    """Write report.html into the folder of an evaluation; return its path.

    A missing file is listed under "Not included" with the command that produces it, a damaged one with the problem.

    Raises:
        DataError: The folder does not hold an evaluation.
        RunFolderError: The page cannot be written.
    """
    content = to_html(read_folder(folder))
    write_bytes(folder / REPORT_NAME, content)
    return folder / REPORT_NAME


def to_html(folder: EvaluationFolder) -> bytes:
    """Return the page."""
    sections = _sections(folder)
    provenance = folder.provenance
    name = str((provenance.get("model") or {}).get("name") or "")
    return render_page(
        "report.html",
        title=f"{printable(name)}: evaluation" if name else "Evaluation",
        sections=[section for section in sections if not section.is_empty],
        absent=[section for section in sections if section.is_empty],
        head=headline(folder),
        config=visible_lines(config_text(provenance)) if provenance.get("config") else "",
        folder=printable(str(folder.path)),
        finished=str(provenance.get("finished") or "")[:10],
    )


def visible_lines(text: str) -> str:
    """Return text with unprintable characters escaped, except line ends."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _sections(folder: EvaluationFolder) -> list[Section]:
    from_file = partial(_from_file, folder)
    return [
        metrics_section(folder),
        training_section(folder),
        confusion_section(folder),
        per_class_section(folder),
        curves_section(folder),
        from_file("calibration.json", calibration_blocks, "calibration", "Calibration",
                  "Of the predictions with a confidence of 80 %, 80 % should be correct.", EVALUATE),
        threshold_section(folder),
        from_file("decisions.json", decisions_blocks, "decisions", "Decision rules",
                  "What each rule guarantees for new images like these, and what was measured here.", EVALUATE),
        mistakes_section(folder),
        from_file("slices.json", slices_blocks, "slices", "Slices",
                  "Subsets of the data, compared with the rest; lowest metric first.", EVALUATE),
        from_file("explain.json", partial(saliency_blocks, folder=folder.path), "saliency", "Saliency maps",
                  "Which regions of an image a prediction depends on.", f"{EVALUATE} explain=gradcam"),
        from_file("robustness.json", robustness_blocks, "robustness", "Robustness",
                  "Common corruptions: noise, blur, weather, compression.", f"{EVALUATE} robustness=corruptions"),
        from_file("attack.json", attack_blocks, "attacks", "Adversarial robustness",
                  "Perturbations computed to make predictions incorrect.", f"{EVALUATE} robustness=attack"),
        from_file("ood.json", ood_blocks, "ood", "Out-of-distribution images",
                  "Whether a score separates images of no known class from the images of the data set.",
                  f"{EVALUATE} ood=folder ood.folder=PHOTOS"),
        from_file("tta.json", tta_blocks, "tta", "Test-time augmentation",
                  "Predictions averaged over several augmented views of each image.", f"{EVALUATE} tta=flip"),
        from_file("baselines.json", baselines_blocks, "baselines", "Baselines",
                  "Other methods on the same split.", "imgrec baselines data=folder data.root=PHOTOS"),
        Section("dataset", "Dataset", DATASET_LEADS[folder.is_of_training], dataset_blocks(folder)),
        from_file("provenance.json", provenance_blocks, "provenance", "Provenance",
                  "How this evaluation was produced.", EVALUATE),
        card_section(folder),
    ]  # fmt: skip


def _from_file(
    folder: EvaluationFolder, name: str, make: Make, anchor: str, title: str, lead: str, command: str
) -> Section:
    file = folder.file(name)
    if file.problem:
        blocks: list[Block] = [Absent(file.problem, command, is_damaged=True)]
    elif file.data is None:
        blocks = [Absent(f"Not run: {name} is not in this folder.", command)]
    else:
        try:
            blocks = make(file.data)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {printable(str(error))[:120]}"
            text = f"{name} is damaged or was written by another version of imgrec ({reason})."
            blocks = [Absent(text, command, is_damaged=True)]
    return Section(anchor, title, lead, blocks)
