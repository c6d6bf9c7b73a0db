"""The trial finds the rule that a network was trained with, or says why it cannot."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from trained_on_photographs import (
    CLASSES,
    LOADERS,
    SIDE,
    accuracy,
    files,
    network,
    photograph,
    scorer,
    write_photographs,
)

from model_import.declared import Declared
from model_import.declared_values import Told
from model_import.fact import Fact
from model_import.scaling import SCALINGS, Scaling
from model_import.trial import trial
from model_import.trial_images import CheckImages, read_check_folder
from model_import.trial_scores import MOST_PASSES, Progress, Score, decoded
from model_import.trial_verdict import Verdict
from model_import.try_rules import verdict_facts
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec

BASE = InputSpec(SIDE, SIDE, "rgb")

EASY = CLASSES[::3]
"""The classes of big objects."""

SMALL = InputSpec(16, 16, "rgb")

PLAIN = {"resize": "bilinear", "fit": "stretch"}
"""What is given where a test is of something else."""


@dataclass(frozen=True)
class Trained:
    """A network of Keras with the loader that it was trained by, and photographs that it has not seen."""

    model: Any
    loader: str
    held_out: Path
    accuracy: float


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A network that learned photographs with little noise, of which four classes are big objects."""
    folder = tmp_path_factory.mktemp("easy")
    write_photographs(folder / "train", 800, 1, 6, EASY)
    write_photographs(folder / "held out", 128, 2, 6, EASY)
    return train("image_dataset_from_directory, cropped", folder, 0)


def train(loader: str, folder: Path, seed: int, epochs: int = 8) -> Trained:
    how, check = LOADERS[loader], folder / "held out"
    if not check.exists():
        write_photographs(folder / "train", 1800, 1000 + seed)
        write_photographs(check, 400, 2000 + seed)
    model = network(*how.values(folder / "train"), seed, epochs)
    return Trained(model, loader, check, accuracy(model, *how.values(check)))


@pytest.mark.heavy
def test_rule_of_a_network_that_keras_trained_is_found(trained: Trained) -> None:
    steps: list[Progress] = []
    images = read_check_folder(trained.held_out, CLASSES)
    found = trial(scorer(trained.model), images, BASE, {}, steps.append)
    assert found.is_decided
    assert (found.scaling.name, found.rule.color_mode) == ("sign", "rgb")
    assert "keras_crop" in (found.rule.fit, *found.parts["fit"].not_distinguished)
    assert "stretch" not in (found.rule.fit, *found.parts["fit"].not_distinguished)
    assert "tf.bilinear" in (found.rule.resize, *found.parts["resize"].not_distinguished)
    assert found.accuracy is not None
    assert found.accuracy >= trained.accuracy - 0.02
    assert any("8 of the model's 12 classes have no folder" in note for note in found.notes)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert found.passes == steps[-1].done <= MOST_PASSES
    check_shown(found)


@pytest.mark.heavy
def test_classes_in_another_order_are_refused_with_the_order_that_would_fit(trained: Trained) -> None:
    images = read_check_folder(trained.held_out, [*CLASSES[3:], *CLASSES[:3]])
    with pytest.raises(
        UsageError, match=r"no rule fits: .*the class order or the folders are wrong.* right with folder"
    ) as told:
        trial(scorer(trained.model), images, BASE, {})
    assert f"{EASY[0]!r} for {EASY[1]!r}" in str(told.value)


@pytest.mark.heavy
def test_two_classes_exchanged_are_refused_with_their_names(trained: Trained) -> None:
    images = read_check_folder(trained.held_out, [EASY[1], *CLASSES[1:3], EASY[0], *CLASSES[4:]])
    with pytest.raises(UsageError, match="class order or the folders are wrong") as told:
        trial(scorer(trained.model), images, BASE, {})
    moved, _, order = str(told.value).partition("with the names in this order")
    assert f"{EASY[0]!r} for {EASY[1]!r}" in moved
    assert EASY[2] not in moved
    assert order, told.value


def check_shown(found: Verdict) -> None:
    lines = found.lines()
    assert all(len(line) <= 80 for line in lines)
    assert json.loads(json.dumps(found.to_json()))["rule"] == found.rule.to_json()


@pytest.fixture(scope="module")
def simple() -> tuple[Score, CheckImages]:
    """A network of one layer, which learns the color of objects in a second, and images that it has not seen."""
    rule = InputSpec(16, 16, "rgb", "bilinear", exif_orientation=False, deep="clip")
    seen, labels = encoded(400, 1)
    values = SCALINGS["sign"](decoded(seen, rule)[0]).reshape(len(seen), -1)
    model = LogisticRegression(C=0.01, max_iter=500).fit(values, labels)

    def score(images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.float32
        found = model.predict_proba(images.reshape(len(images), -1).astype(np.float64))
        return np.asarray(np.log(np.maximum(found, 1e-12)))

    data, numbers = encoded(120, 2)
    return score, CheckImages([f"{i}.jpg" for i in range(len(data))], data, numbers, ("blue", "red"))


def encoded(count: int, seed: int) -> tuple[list[bytes], np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    found = []
    for label in labels:
        buffer = io.BytesIO()
        photograph(CLASSES[6 * label], random).resize((48, 36)).save(buffer, "JPEG")
        found.append(buffer.getvalue())
    return found, labels.astype(np.int64)


def run(simple: tuple[Score, CheckImages], **more: Any) -> Verdict:
    score, images = simple
    given = {name: Fact[Any](value, "given", f"by --{name}") for name, value in more.pop("given", {}).items()}
    found = trial(score, more.pop("images", images), more.pop("base", SMALL), given, **more)
    check_shown(found)
    return found


@pytest.mark.heavy
def test_color_is_found_where_the_network_sees_only_that_and_found_again(simple: tuple[Score, CheckImages]) -> None:
    found = run(simple)
    assert run(simple) == found
    assert found.rule.color_mode == "rgb"
    assert found.parts["color_mode"].how == "tried"
    assert found.parts["fit"].not_distinguished


@pytest.mark.heavy
def test_what_is_given_wins_also_where_it_is_worse(simple: tuple[Score, CheckImages]) -> None:
    given = {"scaling": SCALINGS["torch"], "fit": "tf_pad", "resize": "bicubic"}
    found = run(simple, given=given, base=replace(SMALL, fit="tf_pad", resize="bicubic"))
    assert (found.scaling.name, found.rule.fit, found.rule.resize) == ("torch", "tf_pad", "bicubic")
    assert {name: part.how for name, part in found.parts.items() if name in ("scaling", "fit", "resize")} == {
        "scaling": "given",
        "fit": "given",
        "resize": "given",
    }
    assert found.parts["color_mode"].how == "tried"


def test_given_color_that_is_wrong_is_refused_and_not_changed(simple: tuple[Score, CheckImages]) -> None:
    with pytest.raises(UsageError, match="no rule fits"):
        run(simple, given={"color_mode": "bgr"}, base=replace(SMALL, color_mode="bgr"))


def told(**values: Any) -> Declared:
    scaling = values.pop("scaling", None)
    rule = {name: Told(value, f"from {name}.json") for name, value in values.items()}
    return Declared(scaling and Told(scaling, "from scaling.json"), rule, None, {}, [])


@pytest.mark.heavy
def test_declared_value_is_taken_where_nothing_is_better(simple: tuple[Score, CheckImages]) -> None:
    found = run(simple, declared=told(resize="pillow.hamming", fit="keras_crop"))
    assert (found.rule.resize, found.rule.fit) == ("pillow.hamming", "keras_crop")
    assert (found.parts["resize"].how, found.parts["resize"].source) == ("declared", "from resize.json")
    assert any("from resize.json" in line for line in found.lines())


def test_declared_value_that_is_worse_is_told(simple: tuple[Score, CheckImages]) -> None:
    found = run(simple, declared=told(color_mode="bgr"), given=PLAIN)
    assert found.rule.color_mode == "rgb"
    assert found.parts["color_mode"].against == "bgr from color_mode.json"
    assert any("which is worse on your images" in line.replace("\n", " ") for line in [" ".join(found.lines())])


def test_images_without_labels_are_shown_side_by_side_and_decide_nothing(simple: tuple[Score, CheckImages]) -> None:
    found = run(simple, images=replace(simple[1], labels=None))
    assert not found.is_decided
    assert found.accuracy is None
    assert found.rule == SMALL
    assert len(found.compared) > 10
    assert {one.state for one in found.compared} == {"compared"}
    assert found.lines()[0].startswith("nothing is decided: the images have no labels")
    assert any("mean confidence, which does not choose" in line for line in found.lines())
    assert sum(" rgb, " in line or " bgr, " in line for line in found.lines()) == 3


def test_too_few_images_decide_nothing(simple: tuple[Score, CheckImages]) -> None:
    images = simple[1]
    few = CheckImages(images.names[:99], images.encoded[:99], np.asarray(images.labels)[:99], images.class_names)
    found = run(simple, images=few)
    assert not found.is_decided
    assert "99 labelled images, and 100 are needed" in found.why_not


def few(images: CheckImages, count: int, labels: np.ndarray | None = None) -> CheckImages:
    own = np.asarray(images.labels)[:count] if labels is None else labels
    return CheckImages(images.names[:count], images.encoded[:count], own, images.class_names)


def test_few_images_say_how_many_are_right_and_decide_nothing(simple: tuple[Score, CheckImages]) -> None:
    found = run(simple, images=few(simple[1], 30), given={"scaling": SCALINGS["sign"], **PLAIN})
    assert not found.is_decided
    assert found.accuracy is not None
    told = " ".join(found.lines())
    assert f"{round(found.accuracy * 30)} of 30 are right under this rule: sign rgb, stretch, bilinear" in told
    assert found.accuracy > 0.8
    assert "LOOK" not in told


def test_few_images_with_labels_in_another_order_are_refused_with_the_right_one(
    simple: tuple[Score, CheckImages],
) -> None:
    permuted = 1 - np.asarray(simple[1].labels)[:30]
    with pytest.raises(UsageError, match=r"class order .*; give --labels with the names in this order: red, blue$"):
        run(simple, images=few(simple[1], 30, permuted), given={"scaling": SCALINGS["sign"], **PLAIN})


def test_few_images_that_are_right_by_chance_alone_are_told(simple: tuple[Score, CheckImages]) -> None:
    labels = np.arange(32) // 2 % 2  # half of each class is right
    found = run(simple, images=few(simple[1], 32, labels), given={"scaling": SCALINGS["sign"], **PLAIN})
    assert any("is no better than chance" in line for line in found.notes)


def test_verdict_says_what_was_compared_and_what_was_not(simple: tuple[Score, CheckImages]) -> None:
    found = run(simple, given={"fit": "stretch", "resize": "bilinear"})
    first, second = found.paragraphs()[:2]
    assert first.startswith("Compared: scaling, color_mode, jpeg_dct. Found: ")
    assert second == "Not compared: fit (by --fit); resize (by --resize)."
    assert (f"Not settled: {', '.join(found.unsettled)} (" in first) == bool(found.unsettled)
    facts = verdict_facts(found, {})
    assert [name for name, fact in facts.items() if fact.how == "unsettled"] == list(found.unsettled)
    assert {name for name, fact in facts.items() if fact.how == "guessed"} >= {"exif_orientation", "deep"}
    assert not {"fit", "resize"} & {name for name, fact in facts.items() if fact.how != "guessed"}


def test_check_that_compares_nothing_says_so_and_counts_all_images(simple: tuple[Score, CheckImages]) -> None:
    given = {**PLAIN, "scaling": SCALINGS["sign"], "color_mode": "rgb", "jpeg_dct": "accurate"}
    found = run(simple, given=given)
    text = "\n".join(found.paragraphs())
    assert found.images == 120
    assert text.startswith("--check compared no rules, as every part is given; it only counted how many images are")
    assert (
        f"{round(120 * (found.accuracy or 0))} of 120 images of 2 classes are right under this rule; that is no" in text
    )
    assert "Not compared: scaling (by --scaling); color_mode (by --color_mode); fit (by --fit); " in text
    assert not found.warnings


def test_scaling_of_a_flag_that_is_worse_than_another_is_named_with_the_better_one(
    simple: tuple[Score, CheckImages],
) -> None:
    given = {**PLAIN, "scaling": Scaling("custom", (0.001,), (0.3,)), "color_mode": "rgb"}
    for images in (simple[1], few(simple[1], 40)):
        try:
            told = run(simple, images=images, given=given).warnings[0]
        except UsageError as error:
            told = str(error)
        assert re.search(
            r"--scaling seems to be wrong: with --scaling (sign|torch|raw) \d+ of \d+ images are right", told
        )
        assert "class order" not in told


def test_order_of_channels_of_a_flag_is_named_and_not_the_scaling_that_is_right(
    simple: tuple[Score, CheckImages],
) -> None:
    given = {**PLAIN, "scaling": SCALINGS["sign"], "color_mode": "bgr"}
    with pytest.raises(UsageError, match=r"^no rule fits: --color_mode seems to be wrong: with --color_mode rgb "):
        run(simple, given=given, base=replace(SMALL, color_mode="bgr"))
    told = run(simple, images=few(simple[1], 40), given=given, base=replace(SMALL, color_mode="bgr")).warnings
    assert told[0].startswith("LOOK: --color_mode seems to be wrong: with --color_mode rgb ")


@pytest.mark.heavy
def test_crop_is_tried_where_a_flag_gives_its_fit_alone(simple: tuple[Score, CheckImages]) -> None:
    given = {"fit": "torch_shorter_side", "resize": "bilinear", "scaling": SCALINGS["sign"], "color_mode": "rgb"}
    found = run(simple, given=given, base=replace(SMALL, fit="torch_shorter_side"))
    assert found.parts["fit"].fields == ("crop",)
    assert "fit" not in verdict_facts(found, {})
    assert {one.rule for one in found.compared} >= {
        f"sign rgb, torch_shorter_side{crop}, bilinear" for crop in ("", " 0.875")
    }


def test_image_that_cannot_be_decoded_is_left_out(simple: tuple[Score, CheckImages]) -> None:
    images = simple[1]
    broken = replace(images, encoded=[b"no image", *images.encoded[1:]])
    found = run(simple, images=broken, given=PLAIN)
    assert found.images == 119
    assert any("1 images cannot be decoded" in note for note in found.notes)


@pytest.mark.heavy
def test_network_that_knows_nothing_of_the_classes_is_refused(simple: tuple[Score, CheckImages]) -> None:
    def score(images: np.ndarray) -> np.ndarray:
        sums = images.reshape(len(images), -1).astype(np.float64).sum(1)
        logits = np.stack([np.sin(1e4 * sums), np.cos(1e4 * sums)], 1)
        return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))

    with pytest.raises(UsageError, match=r"^no rule fits: under none .* a scaling other than sign, unit"):
        trial(score, simple[1], SMALL, {})


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("loader", LOADERS)
def test_rule_of_every_loader_is_found(
    loader: str, seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    made = train(loader, tmp_path, seed)
    wanted = LOADERS[loader]
    found = trial(scorer(made.model), read_check_folder(made.held_out, CLASSES), BASE, {})
    for line in found.lines():
        record_property("line", line)
    print(loader, seed, made.accuracy, *found.lines(), sep="\n")
    assert (found.scaling.name, found.rule.color_mode) == (wanted.scaling, wanted.color)
    fit = wanted.fit if wanted.crop == 1 else f"{wanted.fit} {wanted.crop:.4g}"
    assert fit in (found.parts["fit"].value, *found.parts["fit"].not_distinguished)
    antialiased = " antialiased" if wanted.antialias else ""
    resizers = (found.parts["resize"].value, *found.parts["resize"].not_distinguished)
    assert wanted.resize + antialiased in resizers
    new = write_photographs(tmp_path / "new", 1600, 3000 + seed)
    assert accuracy_under(found, made.model, new) >= accuracy(made.model, *wanted.values(new)) - 0.005


def accuracy_under(found: Verdict, model: Any, folder: Path) -> float:
    values = found.scaling(decoded([path.read_bytes() for path in files(folder)], found.rule)[0])
    labels = np.array([CLASSES.index(path.parent.name) for path in files(folder)])
    return accuracy(model, values, labels)


@pytest.mark.heavy
def test_rule_outside_the_table_is_refused(trained: Trained) -> None:
    check_refused(trained, lambda values: np.ascontiguousarray(values.transpose(0, 2, 1, 3)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_rule_outside_the_table_is_refused_where_images_are_many(seed: int, tmp_path: Path) -> None:
    made = train("image_dataset_from_directory", tmp_path, seed)
    check_refused(made, lambda values: np.ascontiguousarray(values.transpose(0, 2, 1, 3)))
    check_refused(made, lambda values: 1 - values)


def check_refused(made: Trained, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Check that nothing fits a network which sees its images as no rule gives them: turned, or as negatives."""
    score, images = scorer(made.model), read_check_folder(made.held_out, CLASSES)
    assert made.accuracy > 0.7
    with pytest.raises(UsageError, match="no rule fits"):
        trial(lambda values: score(change(values)), images, BASE, {})


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_class_order_is_refused(seed: int, tmp_path: Path) -> None:
    made = train("load_img", tmp_path, seed)
    order = np.random.default_rng(seed).permutation(len(CLASSES))
    with pytest.raises(UsageError, match="no rule fits: the class order or the folders are wrong"):
        trial(scorer(made.model), read_check_folder(made.held_out, [CLASSES[i] for i in order]), BASE, {})
