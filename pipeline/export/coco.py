"""The predictions as a COCO dataset: images, categories, and an annotation for each predicted class.

A prediction is of a whole image, so an annotation has no box; COCO Camera Traps calls that an image-level annotation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.export.decided_rows import ACCEPTED, DecidedRows
from pipeline.export.json_file import write_lists
from pipeline.export.links import Links
from pipeline.export.new_file import new_file
from pipeline.output.plan_file import read_index
from pipeline.sources import images
from pipeline.storage import location_of
from pipeline.task import WITH_CLASSES

FIRST_ID = 1
"""Id of the first category, image and annotation: 0 means "empty" in COCO Camera Traps, and background elsewhere."""


@dataclass
class CocoFile:
    """What was written.

    Attributes:
        images: number of images.
        annotations: number of predicted classes.
        categories: number of classes of the model.
        no_files: images in archives, whose `file_name` is their key, which no program opens.
    """

    images: int = 0
    annotations: int = 0
    categories: int = 0
    no_files: int = 0


def check(rows: DecidedRows, flag: str) -> None:
    """Check that the model has classes.

    Raises:
        UsageError: it has none.
    """
    if rows.run.spec.task not in WITH_CLASSES:
        raise UsageError(
            f"{flag} needs a model with classes, and this one gives another thing: take --csv or --parquet"
        )


def write_coco(rows: DecidedRows, location: str, links: Links | None) -> CocoFile:
    """Write a new file.

    Args:
        rows: of the run.
        location: of the file.
        links: gives each image its `coco_url`; None: they have none.

    Raises:
        UsageError: a file of this name is there.
    """
    names = rows.run.spec.class_names
    sources = [unit.source for unit in read_index(rows.run).units]
    written = CocoFile()
    with new_file(location) as file:
        counts = write_lists(
            file,
            {"version": "1.0", "description": f"predictions of run {rows.run.id} of nightscore, of whole images"},
            {
                "categories": ({"id": FIRST_ID + number, "name": name} for number, name in enumerate(names)),
                "images": _images(rows, sources, links, written),
                "annotations": _annotations(rows),
            },
        )
    written.images, written.annotations = counts["images"], counts["annotations"]
    written.categories = counts["categories"]
    return written


def _images(
    rows: DecidedRows, sources: Sequence[str], links: Links | None, written: CocoFile
) -> Iterator[dict[str, Any]]:
    wanted = ["key", "width", "height", "label_name", "label_names", "error_code", "error_message", ACCEPTED]
    number = FIRST_ID
    columns = [name for name in wanted if name in rows.schema.names]
    for source, (_, table) in zip(sources, rows.by_unit(columns), strict=True):
        written.no_files += len(table) if source != images.NAME else 0
        for row in table.to_pylist():
            key, is_file = row["key"], source == images.NAME
            image = {
                "id": number,
                "file_name": location_of(key) if is_file else key,
                "width": row.get("width"),
                "height": row.get("height"),
                **({"coco_url": links.of(key)} if links is not None and is_file else {}),
                **({"label": label} if (label := row.get("label_name", row.get("label_names"))) is not None else {}),
                **({ACCEPTED: row[ACCEPTED]} if row.get(ACCEPTED) is not None else {}),
                **({"failure": f"{row['error_code']}: {row['error_message']}"} if row["error_code"] else {}),
            }
            yield image
            number += 1


def _annotations(rows: DecidedRows) -> Iterator[dict[str, Any]]:
    image = number = FIRST_ID
    ids = {name: FIRST_ID + n for n, name in enumerate(rows.run.spec.class_names)}
    is_labels = rows.run.spec.task == "labels"
    columns = ["predicted_names", "top_k"] if is_labels else ["predicted", "score"]
    for _, table in rows.by_unit(columns):
        for row in table.to_pylist():
            if is_labels:
                scores = {one["name"]: one["score"] for one in row["top_k"] or ()}
                found = [(ids[name], scores.get(name)) for name in row["predicted_names"] or ()]
            else:
                found = [] if row["predicted"] is None else [(FIRST_ID + row["predicted"], row["score"])]
            for category, score in found:
                own = {"id": number, "image_id": image, "category_id": category}
                yield own | ({} if score is None else {"score": round(score, 6)})
                number += 1
            image += 1
