"""Threshold explorer: rejecting predictions of low confidence, or moving the threshold of a label."""

from imgrec.evaluation.report.blocks import Absent, Block, Chart, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.payload import label_threshold_data, threshold_data

__all__ = ["threshold_section"]


def threshold_section(folder: EvaluationFolder) -> Section:
    """Return a slider for the confidence; for labels and for two classes one for the probability of a class."""
    title = "Threshold explorer"
    predictions = folder.predictions
    if predictions is None:
        return Section("threshold", title, "", [Absent(folder.problem, is_damaged=True)])
    blocks: list[Block] = []
    if predictions.task == "single":
        lead = (
            "Accept only predictions with a confidence at or above the threshold. The threshold chosen here is tuned "
            "on the images it is evaluated on, so the metrics are optimistic; for a guarantee see Decision rules."
        )
        blocks.append(Chart("selective", "Selective prediction", threshold_data(predictions)))
    else:
        lead = "A label is predicted where its probability reaches the threshold."
    if predictions.task == "multilabel" or len(predictions.class_names) == 2:
        blocks.append(Chart("operating", "Operating point", label_threshold_data(predictions)))
    return Section("threshold", title, lead, blocks)
