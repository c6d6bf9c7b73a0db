"""What a page says of labels that look wrong: how many, and how far that is to be trusted.

Must not know how they were found.
"""

from __future__ import annotations

from pipeline.formatting import count, counted
from pipeline.metrics.review import LabelErrors

TRUST = {
    "good": "",
    "training unknown": "It is not known which images were seen in training. If these were, the model may know wrong "
    "labels by heart, and then more are wrong than look so.",
    "trained on these": "Some unseen images may be nearly the same as images of the training: more of their labels may "
    "be wrong than look so.",
    "too few": "There are too few labelled images of each class to estimate how many labels are wrong, and the model "
    "may be wrong rather than the label.",
    "too many": "So many labels look wrong that it is more likely the model that is wrong. Do not trust the list.",
}
"""Whether to trust the labels that look wrong, as review.json says it -> in words."""


def errors_text(errors: LabelErrors, images: str = "labelled images") -> str:
    """Return how many labels look wrong.

    Args:
        errors: the figures.
        images: what the images are called that were looked at.
    """
    n = errors["labelled"]
    which = f"unseen {images}" if errors["seen"] else images
    among = f"the {count(n)} {which}" if n != 1 else f"1 {which.removesuffix('s')}"
    others = f" {not_checked(errors['seen'])}" if errors["seen"] else ""
    if not errors["suspects"]:
        few = " With so few of each class that tells little." if errors["trust"] == "too few" else ""
        return f"No label looks wrong among {among}.{few}{others}"
    text = f"{counted(errors['suspects'], 'label looks', 'labels look')} wrong among {among}."
    if errors["estimate"] is None or errors["trust"] == "too many":
        return text + others
    low, high = errors["estimate_interval_95"] or (0.0, 0.0)
    return (
        f"{text} About {counted(round(errors['estimate']), 'label is', 'labels are')} wrong, as estimated from these: "
        f"{count(round(low))} to {count(round(high))} by chance alone; how far the method is off is not known.{others}"
    )


def not_checked(seen: int) -> str:
    """Return that labels were not looked at, as the training had their images.

    >>> not_checked(1)
    'The label of 1 image seen in training was not checked: the model may know it by heart.'
    """
    if seen == 1:
        return "The label of 1 image seen in training was not checked: the model may know it by heart."
    return f"The labels of {count(seen)} images seen in training were not checked: the model may know them by heart."


def errors_trust(errors: LabelErrors) -> str:
    """Return how far the list of labels that look wrong is to be trusted."""
    return "" if errors["trust"] == "too few" and not errors["suspects"] else TRUST[errors["trust"]]


def errors_guess(errors: LabelErrors) -> str:
    """Return what is to be said of the number of labels that look wrong."""
    if errors["trust"] == "too many":
        return ": so many that it is more likely the model that is wrong"
    if errors["estimate"] is None or errors["estimate_interval_95"] is None:
        return "; there are too few images of each class to tell how many are"
    low, high = errors["estimate_interval_95"]
    return f"; estimated, {count(round(low))} to {count(round(high))} are"
