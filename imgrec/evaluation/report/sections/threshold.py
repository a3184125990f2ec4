"""The threshold explorer: what happens when unsure answers are put aside, or a label needs more certainty."""

from imgrec.evaluation.report.blocks import Absent, Block, Chart, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.payload import label_threshold_data, threshold_data

__all__ = ["threshold_section"]


def threshold_section(folder: EvaluationFolder) -> Section:
    """Return the explorer: of confidence, and for labels and for two classes of the probability of one."""
    title = "Threshold explorer"
    predictions = folder.predictions
    if predictions is None:
        return Section("threshold", title, "", [Absent(folder.problem, is_damaged=True)])
    charts: list[Block] = []
    if predictions.task == "single":
        lead = (
            "Accept an answer only if the network is sure enough, and hand the rest to a person. Move the slider to "
            "see how many are accepted, and how many of these are wrong. For a guarantee that holds on new images see "
            "Decisions: a threshold chosen here by eye is a little too good."
        )
        charts.append(Chart("accept", "Accept the sure answers", threshold_data(predictions)))
    else:
        lead = (
            "A label counts when its probability reaches the threshold. Move the slider to see what each label gains."
        )
    if predictions.task == "multilabel" or len(predictions.class_names) == 2:
        charts.append(Chart("operate", "Operating point", label_threshold_data(predictions)))
    return Section("threshold", title, lead, charts)
