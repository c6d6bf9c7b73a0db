"""Say how a run ended: the exit code, and why. Knows no storage."""

from __future__ import annotations

from pipeline.formatting import counted, decimals
from pipeline.metrics.review import Review
from pipeline.metrics.sums import Sums
from pipeline.metrics.wanted_accuracy import shortfall, surely
from pipeline.output.run import Run
from pipeline.output.summary import Summary


def verdict(
    summary: Summary, run: Run, planned: int | None, lost: str = "", review: Review | None = None
) -> tuple[int, list[str]]:
    """Return the exit code and, one line each, the reasons for it.

    Args:
        summary: of all units that ended.
        run: with the limits that a person set.
        planned: images in the plan, None where only reading could tell.
        lost: what is missing although it was committed.
        review: of all rows; None: nobody has looked at them.
    """
    metrics, options = summary.metrics, run.options
    reasons = [text for text in (summary.stopped, lost) if text]
    if summary.unfinished:
        unit, error = summary.unfinished_examples[0]
        which = "1 unit is" if summary.unfinished == 1 else f"{summary.unfinished:,} units are"
        reasons.append(f"{which} unfinished ({error}, unit {unit}); rerun to finish them")
    accounted = metrics.images + summary.unfinished_images
    if planned is not None and accounted != planned and not reasons:
        reasons.append(
            f"{planned} images were planned but {accounted} are accounted for; rerun, and report this as a bug"
        )
    if not accounted and not reasons:
        reasons.append("no image was found: the inputs are empty; see 'plan' in run.json for what they hold")
    if metrics.images and metrics.failed > options.max_failed_fraction * metrics.images:
        share = metrics.failed / metrics.images
        reasons.append(
            f"{metrics.failed} of {metrics.images} images failed ({share:.2%}), more than --max_failed_fraction "
            f"{options.max_failed_fraction:g} allows"
        )
    if reasons:
        return 3, reasons
    code, reasons = _quality(metrics, run, review)
    return (code, reasons) if reasons else _acceptance(review, run)


def _quality(metrics: Sums, run: Run, review: Review | None) -> tuple[int, list[str]]:
    """Return the exit code and the reason for it, by the share of the labelled images that is right.

    Where it is known which images the training had, those do not count: a network may have learned them by heart.
    """
    wanted = run.options.min_accuracy
    if wanted is None:
        return 0, []
    labelled, correct = (getattr(run.metrics.empty.merge(metrics), name) for name in ("labelled", "correct"))
    unseen = (review or {}).get("unseen")
    which = ""
    if unseen is not None and unseen["seen_labelled"]:
        labelled, correct = unseen["labelled"], round((unseen["headline"] or 0) * unseen["labelled"])
        which = " of unseen images"
        if not labelled:
            return 4, [f"--min_accuracy {wanted:g} cannot be checked: every labelled image was seen in training"]
    if not labelled:
        return 4, [f"--min_accuracy {wanted:g} cannot be checked: no scored image has a label of the model's classes"]
    if correct < wanted * labelled:
        what = "accuracy" if run.spec.task == "classes" else "the share of images with exactly their labels"
        return 4, [f"{what}{which} is {correct / labelled:.4f}, less than --min_accuracy {wanted:g}"]
    return 0, []


def _acceptance(review: Review | None, run: Run) -> tuple[int, list[str]]:
    """Return the exit code and the reason for it, by whether some score gives the wanted accuracy."""
    wanted = run.options.accept_accuracy
    if wanted is None or review is None or review["accepted"]["score"] is not None:
        return 0, []
    acceptance = review["acceptance"]
    labelled, needed, best = shortfall(acceptance)
    unseen = "unseen " if acceptance["seen"] else ""
    if best is None:
        text = f"no {unseen or 'scored '}image has a label of the model's classes"
        return 4, [f"--accept_accuracy {wanted:g} cannot be checked: {text}"]
    if needed is not None:
        there = counted(labelled, f"{unseen}labelled image is", f"{unseen}labelled images are")
        text = f"{there} too few, it takes at least {needed:,}"
    else:
        text = f"no score has that accuracy on the {unseen}labelled images with 95 % confidence; the most is "
        text += decimals(surely(best)) + (f", from score {best['score']:g} on" if best["score"] else ", of all images")
    return 4, [f"--accept_accuracy {wanted:g} cannot be met: {text}"]
