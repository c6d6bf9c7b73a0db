"""While a unit is scored, the images that the report may show get a picture."""

from __future__ import annotations

import io
import itertools
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from conftest import SCHEMA
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from task_nights import metrics_for
from task_rows import random_labels, random_values

from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch, PredictionBatch
from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.examples import ENLARGED, FAILURE_EXAMPLES, OF_UNIT, examples_of
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.thumbnails import thumbnail
from pipeline.output.receipts import Extras, Receipt
from pipeline.output.rows import to_table
from pipeline.scoring.pictures import Shortlist, choose, choose_rows, draw
from pipeline.task import Task

CLASSES = ["a", "b", "c"]

RULE = InputSpec(3, 3, "grayscale")


def scored(seed: int, n: int, sureness: int = 3) -> tuple[PixelBatch, PredictionBatch]:
    """Images, some labelled, some with a label that is no class, with scores that are often the same."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet([0.3] * len(CLASSES), n).round(sureness).astype(np.float32)
    labels = random.integers(0, len(CLASSES) + 1, n).astype(np.int32)
    images = ImageColumns([f"{seed}/{i}.png" for i in range(n)], labels, random.random(n) < 0.9, [None] * n)
    known = images.labelled & (labels < len(CLASSES))
    own = np.where(known, scores[np.arange(n), labels % len(CLASSES)], np.float32("nan")).astype(np.float32)
    top = np.argsort(-scores, axis=1, kind="stable").astype(np.int32)
    pixels = PixelBatch(images, random.integers(0, 255, (n, 3, 3, 1)).astype(np.uint8))
    return pixels, PredictionBatch(images, top, np.take_along_axis(scores, top, axis=1), own)


def pictures(shortlist: Shortlist, pixels: PixelBatch, batch: PredictionBatch) -> dict[int, bytes]:
    """Return the pictures of a piece, as a local process makes them, and let its images enter the list."""
    entered, chosen, _ = choose(batch, shortlist.examples())
    shortlist.add(entered)
    return draw(pixels, chosen, RULE).small


@pytest.mark.heavy
@given(st.lists(st.integers(0, 90), max_size=6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_whatever_a_receipt_lists_has_a_picture_in_whatever_order_its_batches_come(
    sizes: list[int], sureness: int, random: Random
) -> None:
    batches = [scored(seed, n, sureness) for seed, n in enumerate(sizes)]
    rows = pa.concat_tables(
        [to_table(scored(0, 0)[1], CLASSES, SCHEMA), *(to_table(batch, CLASSES, SCHEMA) for _, batch in batches)]
    )
    order = list(range(len(batches)))
    random.shuffle(order)
    shortlist, starts = Shortlist(), [0, *itertools.accumulate(sizes)]
    numbers = {starts[b] + i for b in order for i in pictures(shortlist, *batches[b])}
    assert {example["row"] for example in examples_of(rows)} <= numbers


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 5))
def test_whatever_a_receipt_enlarges_has_a_larger_picture(sizes: list[int], sureness: int) -> None:
    shortlist, numbers, start = Shortlist(), set(), 0
    batches = [scored(seed, n, sureness)[1] for seed, n in enumerate(sizes)]
    for batch in batches:
        entered, pictured, enlarged = choose(batch, shortlist.examples())
        shortlist.add(entered)
        assert enlarged <= set(pictured)
        numbers |= {start + i for i in enlarged}
        start += len(batch.images)
    examples = examples_of(pa.concat_tables(to_table(batch, CLASSES, SCHEMA) for batch in batches))
    receipt = Receipt("u", start, 0, Metrics(images=start), examples, [], Extras())
    assert receipt.enlarged <= numbers
    assert len(receipt.enlarged) <= ENLARGED.mistakes + ENLARGED.doubtful + ENLARGED.uncertain


def test_larger_picture_is_made_where_it_shows_more() -> None:
    slope = np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (1, 90, 3))
    pixels = PixelBatch(ImageColumns.of(["a", "b"]), np.stack([slope, slope]))
    small, large = draw(pixels, [0, 1], RULE, large={1})
    assert [Image.open(io.BytesIO(data)).size for data in (small[0], small[1], large[1])] == [(29, 64)] * 2 + [
        (90, 200)
    ]
    assert list(large) == [1]


def test_few_pictures_are_made_of_many_images() -> None:
    shortlist = Shortlist()
    counts = [len(pictures(shortlist, *scored(seed, 256, 6))) for seed in range(40)]
    longest = OF_UNIT.mistakes + OF_UNIT.cell * 6 + OF_UNIT.doubtful + OF_UNIT.uncertain
    assert 0 < counts[0] <= longest
    assert sum(counts[20:]) < longest


def test_image_that_the_model_cannot_score_has_a_picture_one_without_pixels_has_none() -> None:
    pixels, batch = scored(1, 12)
    why = {i: Failure("predict", "INTERNAL", "no numbers") for i in (3, 4, 5, 6)}
    broken = {7: Failure("preprocess", "INVALID_ARGUMENT", "cut short")}
    images = batch.images.failed({**why, **broken})
    batch = PredictionBatch(images, batch.top_labels, batch.top_scores, np.full(12, np.nan, np.float32))
    drawn = pictures(Shortlist(), pixels, batch)
    assert set(why) & set(drawn) == set(list(why)[:FAILURE_EXAMPLES])
    assert 7 not in drawn
    assert len(drawn) == FAILURE_EXAMPLES + min(7, OF_UNIT.uncertain)
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())
    assert all(picture == thumbnail(pixels.pixels[i]) for i, picture in drawn.items())


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 5))
def test_list_holds_the_same_images_after_one_piece_and_after_many(sizes: list[int], sureness: int) -> None:
    batches = [scored(seed, n, sureness)[1] for seed, n in enumerate(sizes)]
    after_many, every = Shortlist(), []
    for batch in batches:
        entered = choose(batch, after_many.examples()).entered
        every += choose(batch, ())[0]
        after_many.add(entered)
    after_one = Shortlist()
    after_one.add(every)
    assert sorted(map(str, after_many.examples())) == sorted(map(str, after_one.examples()))


def test_piece_that_was_sent_before_another_was_back_loses_nothing() -> None:
    """Two pieces are scored at once, with the lists as they were before both."""
    one, two = scored(1, 200)[1], scored(2, 200)[1]
    at_once, in_turn = Shortlist(), Shortlist()
    for entered in [choose(batch, ())[0] for batch in (one, two)]:
        at_once.add(entered)
    for batch in (two, one):
        in_turn.add(choose(batch, in_turn.examples())[0])
    assert sorted(map(str, at_once.examples())) == sorted(map(str, in_turn.examples()))
    assert at_once.examples()


@pytest.mark.heavy
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.sampled_from(["labels", "value"]))
def test_whatever_a_receipt_of_another_task_lists_has_a_picture(sizes: list[int], task: Task) -> None:
    metrics = metrics_for(task)
    parts = [random_labels(n, i)[0] if task == "labels" else random_values(n, i)[0] for i, n in enumerate(sizes)]
    rows = pa.concat_tables(parts).drop_columns("key")
    rows = rows.add_column(0, "key", pa.array([f"{i:04d}" for i in range(len(rows))]))
    shortlist, numbers, start = Shortlist(), set[int](), 0
    for n in sizes:
        pixels, batch = scored(1, n)
        entered, chosen, _ = choose_rows(rows.slice(start, n), metrics, batch, shortlist.examples())
        shortlist.add(entered, task)
        numbers |= {start + i for i in draw(pixels, chosen, RULE).small}
        start += n
    assert {example["row"] for example in metrics.examples(rows)} <= numbers


@pytest.mark.parametrize("takes", ["pixels", "encoded"])
def test_picture_has_no_exif_data_of_its_image(takes: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    exif[ExifTags.Base.Make] = "a maker"
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "JPEG", exif=exif, comment=b"a comment", icc_profile=b"a profile")
    assert all(secret in buffer.getvalue() for secret in SECRETS)
    file, rule = EncodedBatch(ImageColumns.of(["a.jpg"]), [buffer.getvalue()]), InputSpec(30, 40, "rgb")
    pixels = preprocess(file, rule) if takes == "pixels" else PixelBatch.of_files(file, {})
    (picture,) = draw(pixels, [0], rule).small.values()
    assert picture.startswith(b"\xff\xd8")
    assert not any(secret in picture for secret in SECRETS)
    assert dict(Image.open(io.BytesIO(picture)).getexif()) == {}


SECRETS = (b"Exif", b"a maker", b"a comment", b"a profile")
