"""What each kind of finding means, why it matters and what to do about it, in the words of the page."""

from dataclasses import dataclass

__all__ = ["EXPLANATIONS", "JUDGE_BETTER", "Explanation"]


@dataclass(frozen=True)
class Explanation:
    """title: of the section. clean: what to say where nothing was found. command: what comes after `imgrec`, or "".

    In a command {target} stands for the words that the user named the data by, {data} for those that train takes,
    {output} for the folder of the report, {pattern} for that of a group.
    """

    title: str
    clean: str
    meaning: str
    harm: str
    advice: str
    command: str = ""


# Where the judge of labels is weak, a better one is the thing to try, not its list.
JUDGE_BETTER = "audit {target} --features mobilenet_v2 --weights DEFAULT"
_APPLY = "audit {target} --apply {output}/plan.csv --output clean.csv"

EXPLANATIONS = {
    "broken": Explanation(
        "Broken files",
        "Every image can be decoded.",
        "The file cannot be decoded to its last pixel, or is no image that imgrec takes.",
        "Training leaves such files out and counts them; more than data.max_bad of them end the run.",
        "Copy them again from where they came from, or leave them out: the plan proposes remove.",
        _APPLY,
    ),
    "leaks.exact": Explanation(
        "The same image in two splits",
        "No image is in two splits.",
        "Both files decode to the same pixels, whatever their names, formats or bytes.",
        "The network is tested on what it has learnt by heart. Scores on that split are too good, and nobody can tell "
        "by how much.",
        "Keep the copy in test and remove the one in train, so that the test stays what it was and scores stay "
        "comparable. Of val and test, test stays.",
        _APPLY,
    ),
    "label_conflicts": Explanation(
        "Duplicates with different labels",
        "No two copies of an image have different labels.",
        "One image, or two nearly the same, are called two things. Of real copies at least one label is wrong.",
        "No network can learn both. In the test it costs accuracy that no model can win back.",
        "Look at each, and write the true label into the column new_label of the plan, with the action relabel.",
        _APPLY,
    ),
    "leaks.near": Explanation(
        "Nearly the same image in two splits",
        "No near duplicates across splits.",
        "Resized, re-encoded, mirrored, cropped or brightened copies, or two frames of one scene.",
        "Almost as bad as the same image twice: the network recognises the scene instead of the class.",
        "Look at the pairs. If most are real, remove the copies in train by the plan, or divide the data anew so that "
        "duplicates stay on one side.",
        "split {target} --output splits.json",
    ),
    "groups": Explanation(
        "Groups in two splits",
        "No group is in two splits.",
        "The data says that these images belong together (a patient, a video, a site), yet they stand in more than "
        "one split.",
        "The network knows the patient or the street already. Scores say nothing about new ones.",
        "Divide the data anew, by groups.",
        "split {target} --output splits.json",
    ),
    "leaking_groups": Explanation(
        "Groups that a random division tears apart",
        "File names give no groups away whose images are alike.",
        "File names show which images come from one scene, track or origin: these are alike far beyond chance.",
        "Divided at random, the network is tested on scenes it has learnt. Scores are too good.",
        "Divide by these groups, or train with data.group_pattern.",
        "split {target} --group-pattern {pattern} --output splits.json",
    ),
    "suspected_labels": Explanation(
        "Labels that look wrong",
        "No label looks wrong.",
        "A simple classifier that never saw the image is sure of another class. The worst come first; how many are "
        "truly wrong falls down the list.",
        "Wrong labels cost accuracy in training. In the test they hide which model is better.",
        "Look at them from the top until most are right. In the plan, write relabel for the wrong ones; the proposed "
        "label stands there already. None is changed unless you say so.",
        _APPLY,
    ),
    "shortcuts": Explanation(
        "Shortcuts",
        "No class stands out by size, format or border.",
        "A class can be told without looking at what is in the image: by its size, its format, its border.",
        "The network will take the easy way. It fails on the first image that comes from elsewhere.",
        "Find out where the difference comes from. Bring all images to one size and format, crop borders away, or "
        "collect the class from more places.",
    ),
    "exact_duplicates": Explanation(
        "Exact duplicates",
        "No image is there twice.",
        "Files that decode to the same pixels, whatever their names, formats or bytes.",
        "A random split puts copies on both sides. Within one split a copy counts twice.",
        "Keep one of each group. The plan keeps the first by path, and that in test before that in train.",
        _APPLY,
    ),
    "near_duplicates": Explanation(
        "Near duplicates",
        "No near duplicates.",
        "Resized, re-encoded, mirrored, cropped or brightened copies, or frames of one scene. Within one split they do "
        "little harm.",
        "When the data is divided again, they leak.",
        "Keep them together when you divide: the plan gives each family a group, which the new table carries.",
        "split {target} --output splits.json",
    ),
    "imbalance": Explanation(
        "Class imbalance",
        "The classes are of similar size.",
        "Some classes have many more images than others, or too few to learn or to test.",
        "The network learns to say the large class. Accuracy looks good and the small class is missed.",
        "Collect more of the small ones. Read balanced accuracy and the rows per class instead of accuracy; weigh the "
        "classes in the loss.",
        "train {data} loss.class_weights=auto",
    ),
    "outliers": Explanation(
        "Outliers",
        "No image stands out.",
        "Images far from all others in size, shape, brightness, contrast or sharpness.",
        "Often a placeholder, a screenshot, a wrong export. Sometimes just a rare and valuable image.",
        "Look at them; remove what does not belong.",
        _APPLY,
    ),
    "formats": Explanation(
        "Stray formats and colours",
        "All images are of one kind.",
        "A few files of another format or colour mode than the rest, or of another format than their names say.",
        "A stray among many is often a placeholder or an image from elsewhere. imgrec reads all of them; other "
        "software may show a black image, or refuse it.",
        "Look at the strays, and remove what does not belong.",
        _APPLY,
    ),
}
