"""Texts of the report: what each kind of finding means, why it matters and what to do about it."""

from dataclasses import dataclass

__all__ = ["EXPLANATIONS", "JUDGE_BETTER", "JUDGE_BETTER_ADVICE", "Explanation"]


@dataclass(frozen=True)
class Explanation:
    """The texts of one section of the report.

    Attributes:
        title: Heading of the section.
        clean: Sentence for the list of passed checks.
        meaning: What the findings are.
        harm: Why they matter.
        advice: What to do.
        command: What follows `imgrec` on the command line, or "". {target} stands for the data as the user named it,
            {data} for the overrides that train takes, {output} for the folder of the report, {pattern} for the
            pattern of a group.
    """

    title: str
    clean: str
    meaning: str
    harm: str
    advice: str
    command: str = ""


# For suspects of a classifier that hardly predicts the classes: better features, instead of working through the list.
JUDGE_BETTER_ADVICE = "Judge the labels again with pretrained features, which work better on photographs."
JUDGE_BETTER = "audit {target} --features mobilenet_v2 --weights DEFAULT"
_APPLY = "audit {target} --apply {output}/plan.csv --output clean.csv"

EXPLANATIONS = {
    "broken": Explanation(
        "Broken files",
        "Every image can be decoded.",
        "These files cannot be decoded to the last pixel, or are not images that imgrec reads.",
        "Training skips and counts them; more than data.max_bad of them stop the run.",
        "Copy them again from their source, or exclude them: the plan proposes remove.",
        _APPLY,
    ),
    "leaks.exact": Explanation(
        "Exact duplicates across splits (leaks)",
        "No image is in two splits.",
        "The files decode to the same pixels, whatever their names, formats or bytes.",
        "The model is tested on images that it was trained on, so the metrics of that split are too high by an unknown "
        "amount.",
        "Keep the copy in test and remove the one in train: the test split stays the same and metrics stay comparable. "
        "Between val and test, keep test.",
        _APPLY,
    ),
    "label_conflicts": Explanation(
        "Duplicates with different labels",
        "No two copies of an image have different labels.",
        "The same image, or two nearly identical ones, have different labels. Of true copies at least one label is "
        "wrong.",
        "No model can fit both labels. In the test split each pair costs accuracy that no model can recover.",
        "Look at each pair. In the plan, set the action to relabel and write the correct class into new_label.",
        _APPLY,
    ),
    "leaks.near": Explanation(
        "Near-duplicates across splits (leaks)",
        "No near-duplicates across splits.",
        "Copies that were resized, re-encoded, mirrored, cropped or brightened, or two frames of one scene.",
        "Almost as harmful as exact copies: the model recognises the scene instead of the class.",
        "Look at the pairs. If most are true duplicates, remove those in train with the plan, or split the data again: "
        "imgrec split keeps duplicates in one split.",
        "split {target} --output splits.json",
    ),
    "groups": Explanation(
        "Groups across splits (leaks)",
        "No group is in two splits.",
        "Images that belong together by the data's own groups (a patient, a video, a site) are in more than one split.",
        "The model has seen the patient or the site in training. The metrics say nothing about new ones.",
        "Split the data again, by group.",
        "split {target} --output splits.json",
    ),
    "leaking_groups": Explanation(
        "Groups that a random split would leak",
        "No pattern in the file names groups similar images.",
        "File names show which images come from one scene, track or origin. These images are far more similar to each "
        "other than chance explains.",
        "After a random split, the model is tested on scenes that it was trained on, and the metrics are too high.",
        "Split by these groups, or train with data.group_pattern.",
        "split {target} --group-pattern {pattern} --output splits.json",
    ),
    "suspected_labels": Explanation(
        "Suspected label errors",
        "No label looks wrong.",
        "A simple classifier that was not trained on the image predicts another class. The most doubtful labels come "
        "first; further down, fewer of them are errors.",
        "Wrong labels cost accuracy in training. In the test split they hide which model is better.",
        "Check them from the top until most are correct. In the plan, write relabel for the wrong ones; the suggested "
        "label is filled in. Nothing is relabelled unless you write so.",
        _APPLY,
    ),
    "shortcuts": Explanation(
        "Shortcuts",
        "No class stands out by size, format or border.",
        "A class can be predicted from properties of the files alone: size, format, colour mode or border.",
        "The model learns this property instead of the content, and fails on images from other sources.",
        "Find out where the difference comes from. Convert all images to one size and format, crop the borders, or "
        "collect the class from more sources.",
    ),
    "exact_duplicates": Explanation(
        "Exact duplicates",
        "No exact duplicates.",
        "The files decode to the same pixels, whatever their names, formats or bytes.",
        "A random split puts copies on both sides. Within one split a copy counts twice.",
        "Keep one of each group. The plan keeps the first by path, and a copy in test before one in train.",
        _APPLY,
    ),
    "near_duplicates": Explanation(
        "Near-duplicates",
        "No near-duplicates.",
        "Copies that were resized, re-encoded, mirrored, cropped or brightened, or frames of one scene. Within one "
        "split they do little harm.",
        "If the data is split again at random, they leak.",
        "Keep them together when you split: the plan gives each set of duplicates a group, which the cleaned table "
        "keeps.",
        "split {target} --output splits.json",
    ),
    "imbalance": Explanation(
        "Class imbalance",
        "The classes are of similar size.",
        "Some classes have many more images than others, or too few to train or test on.",
        "The model prefers the large class: accuracy looks good while the small class is missed.",
        "Collect more images of the small classes. Read balanced accuracy and the per-class metrics instead of "
        "accuracy; weight the classes in the loss.",
        "train {data} loss.class_weights=auto",
    ),
    "outliers": Explanation(
        "Outliers",
        "No image stands out.",
        "Images far from all others in size, shape, brightness, contrast or sharpness, and blank ones.",
        "Often a placeholder, a screenshot or a failed export; sometimes a rare and valuable image.",
        "Look at them and remove what does not belong.",
        _APPLY,
    ),
    "formats": Explanation(
        "Rare formats and colour modes",
        "All images have the same kind of format.",
        "A few files differ from the rest in format or colour mode, or from their own file extension.",
        "A rare format is often a placeholder or comes from another source. imgrec reads all of them; other software "
        "may show a black image or refuse the file.",
        "Look at them and remove what does not belong.",
        _APPLY,
    ),
}
