"""Tasks for Label Studio: the images to review, with what the model says of them.

The format is Label Studio's basic JSON: `data` names the image, `predictions` has one result of type `choices`. A
project's labeling interface names the two tags as `FROM` and `TO` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from pipeline.errors import UsageError
from pipeline.export.decided_rows import DecidedRows
from pipeline.export.json_file import write_list
from pipeline.export.links import LOCAL_FILES, Links
from pipeline.export.names import short_hash
from pipeline.export.new_file import new_file
from pipeline.export.review import Review, Row
from pipeline.output.plan_file import read_index
from pipeline.sources import images

FROM, TO = "choice", "image"
"""Names of the tags `Choices` and `Image` in the labeling interface."""


@dataclass
class TaskFile:
    """What was written.

    Attributes:
        tasks: number of images to review.
        review: which they are.
        document_root: folder that Label Studio must serve; None: it serves none, or other addresses were given.
        elsewhere: images to review that lie outside of the input, so that no address is known; they are left out.
    """

    tasks: int
    review: Review
    document_root: str | None = None
    elsewhere: int = 0


def check(rows: DecidedRows) -> None:
    """Check that the images have addresses.

    Raises:
        UsageError: some are in archives.
    """
    others = sorted({unit.source for unit in read_index(rows.run).units} - {images.NAME})
    if others:
        raise UsageError(
            f"--label_studio: images in archives and tables ({', '.join(others)}) have no address that Label Studio "
            "could open: take them out with --sort_into FOLDER --copy, and score the folder"
        )


def write_tasks(rows: DecidedRows, location: str, links: Links, most: int | None) -> TaskFile:
    """Write a new file of tasks.

    Args:
        rows: of the run.
        location: of the file.
        links: gives each image its address.
        most: number of tasks, at most; None: see `Review`.

    Raises:
        UsageError: a file of this name is there.
    """
    written = TaskFile(0, Review(rows, most))
    version = f"nightscore {rows.run.spec.model_id[:12]}"
    with new_file(location) as file:
        written.tasks = write_list(file, _tasks(written.review, links, version, written))
        file.write(b"\n")
    with new_file(interface_of(location)) as file:
        file.write(_interface(rows).encode("utf-8"))
    if links.base == LOCAL_FILES and links.place.startswith("/"):
        written.document_root = links.place.rstrip("/") or "/"
    return written


def _tasks(rows: Iterable[Row], links: Links, version: str, written: TaskFile) -> Iterator[dict[str, Any]]:
    for row in rows:
        address = links.of_anywhere(row["key"])
        if address is None:
            written.elsewhere += 1
        else:
            yield task_of(row, address, version)


def task_of(row: Row, address: str, version: str) -> dict[str, Any]:
    """Return the task of an image.

    Args:
        row: of the image, with a prediction.
        address: of the image.
        version: of the model.
    """
    is_labels = "predicted_names" in row
    choices = row["predicted_names"] if is_labels else [row["predicted_name"]]
    label = row["label_names"] if is_labels else row["label_name"]
    score = max((one["score"] for one in row["top_k"]), default=None) if is_labels else row["score"]
    result = {"id": short_hash(row["key"]), "from_name": FROM, "to_name": TO, "type": "choices"}
    prediction = {"model_version": version, "result": [{**result, "value": {"choices": choices}}]}
    if score is not None:
        prediction["score"] = round(score, 6)
    return {
        "data": {
            "image": address,
            "key": row["key"],
            "predicted": choices,
            "label": label,
            "score": prediction.get("score"),
        },
        "predictions": [prediction],
    }


def interface_of(location: str) -> str:
    """Return where the labeling interface of a file of tasks is written.

    >>> interface_of("/a/tasks.json"), interface_of("/a/tasks")
    ('/a/tasks.xml', '/a/tasks.xml')
    """
    return f"{location.removesuffix('.json')}.xml"


def _interface(rows: DecidedRows) -> str:
    """Return the labeling interface that fits the tasks, for a project's settings."""
    many = ' choice="multiple"' if rows.run.spec.task == "labels" else ""
    choices = "".join(f'\n    <Choice value="{escape(name)}"/>' for name in rows.run.spec.class_names)
    return f"""<View>
  <Image name="{TO}" value="${TO}"/>
  <Choices name="{FROM}" toName="{TO}"{many}>{choices}
  </Choices>
</View>
"""
