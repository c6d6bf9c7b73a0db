"""The columns that flow through `score`: equal lengths, types, and who has failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch, PredictionBatch

CUT_SHORT = Failure("preprocess", "INVALID_ARGUMENT", "cut short")
GONE = Failure("read", "NOT_FOUND", "gone")


class TestFailure:
    @given(st.text())
    def test_message_is_one_bounded_line_of_valid_utf_8_whatever_the_error_said(self, text: str) -> None:
        message = Failure("read", "INTERNAL", text).message
        message.encode("utf-8")
        assert len(message) <= 300
        assert message == " ".join(message.split())

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("cannot\n  be\tread ", "cannot be read"),
            ("no file \udcff.png", r"no file \udcff.png"),
            ("x" * 300, "x" * 300),
            ("x" * 301, "x" * 297 + "..."),
            ("", ""),
        ],
    )
    def test_message_keeps_what_a_person_can_read(self, text: str, message: str) -> None:
        assert Failure("read", "INTERNAL", text).message == message

    def test_failures_of_one_reason_are_equal_however_it_was_spaced(self) -> None:
        assert Failure("read", "INTERNAL", "a\n b") == Failure("read", "INTERNAL", "a b")


class TestImageColumns:
    def test_of_keys_alone_nothing_is_labelled_and_nothing_has_failed(self) -> None:
        columns = ImageColumns.of(["a", "b"])
        assert len(columns) == 2
        assert columns.labels.dtype == np.int32
        assert not columns.labelled.any()
        assert columns.label_names == [None, None]
        assert columns.ok.tolist() == [True, True]

    def test_first_failure_of_an_image_stays(self) -> None:
        columns = ImageColumns.of(["a", "b", "c"]).failed({0: GONE}).failed({0: CUT_SHORT, 2: CUT_SHORT})
        assert columns.failures == {0: GONE, 2: CUT_SHORT}
        assert columns.ok.tolist() == [False, True, False]

    def test_failing_changes_a_copy(self) -> None:
        columns = ImageColumns.of(["a"])
        columns.failed({0: GONE})
        assert columns.ok.all()

    def test_of_no_images_there_is_an_empty_mask(self) -> None:
        assert ImageColumns.of([]).ok.tolist() == []

    def test_columns_that_pass_through_stay_with_their_images(self) -> None:
        one = replace(ImageColumns.of(["a", "b"]), more={"site": ["x", None]})
        other = replace(ImageColumns.of(["c"]), more={"camera": ["k"]})
        both = ImageColumns.joined([one, other])
        assert both.more == {"site": ["x", None, None], "camera": [None, None, "k"]}
        assert both.pick([2, 0]).more == {"site": [None, "x"], "camera": ["k", None]}
        with pytest.raises(ValueError, match="columns of different lengths"):
            replace(one, more={"site": ["x"]})

    @pytest.mark.parametrize("short", range(4))
    def test_a_column_of_another_length_is_refused(self, short: int) -> None:
        columns: list[Any] = [["a", "b"], np.zeros(2, np.int32), np.zeros(2, np.bool_), [None, None]]
        columns[short] = columns[short][:1]
        with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
            ImageColumns(*columns)


class TestBatches:
    two = ImageColumns.of(["a", "b"])

    def test_encoded_and_pixels_have_one_entry_an_image(self) -> None:
        with pytest.raises(ValueError, match="2 images but a column of 1"):
            EncodedBatch(self.two, [b""])
        with pytest.raises(ValueError, match="2 images but a column of 3"):
            PixelBatch(self.two, np.zeros((3, 1, 1, 1), np.uint8))

    @pytest.mark.parametrize("pixels", [np.zeros((2, 4, 4, 1), np.float32), np.zeros((2, 4, 4), np.uint8)])
    def test_pixels_of_another_type_or_shape_are_refused(self, pixels: Any) -> None:
        with pytest.raises(ValueError, match=r"must be uint8 \[n, h, w, c\]"):
            PixelBatch(self.two, pixels)

    @pytest.mark.parametrize("short", range(3))
    def test_every_prediction_column_has_one_entry_an_image(self, short: int) -> None:
        columns: list[Any] = [np.zeros((2, 3), np.int32), np.zeros((2, 3), np.float32), np.zeros(2, np.float32)]
        columns[short] = columns[short][:1]
        with pytest.raises(ValueError, match="2 images but a column of 1"):
            PredictionBatch(self.two, *columns)
