"""What fits one screen: lines are counted as a terminal wraps them, and nothing is left out in silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.one_screen import LEAST, MORE, NAME_WIDTH, WIDTH, columns, fitted, lines_of, on_one_screen

NAMES = st.sampled_from([*LEAST, "accuracy", "failed", "report", "next"])
FACTS = st.lists(st.tuples(NAMES, st.text("ab 猫\x1b", max_size=200)), max_size=25)


def lines(facts: list[tuple[str, str]]) -> int:
    return sum(lines_of(f"{name:<{NAME_WIDTH}} {text}", 80) for name, text in facts)


@given(FACTS, st.integers(1, 30))
def test_it_fits_or_has_nothing_left_that_may_go(facts: list[tuple[str, str]], room: int) -> None:
    shown = on_one_screen(facts, 80, room)
    assert lines(shown) <= room or not any(name in LEAST for name, _ in shown)
    if lines(facts) <= room:
        assert shown == facts


@given(FACTS, st.integers(1, 30))
def test_what_is_left_out_is_named_and_the_rest_stays_as_it_was(facts: list[tuple[str, str]], room: int) -> None:
    shown = on_one_screen(facts, 80, room)
    gone = {name for name, _ in facts} - {name for name, _ in shown}
    assert [fact for fact in shown if fact[0] != MORE] == [fact for fact in facts if fact[0] not in gone]
    assert [text for name, text in shown if name == MORE] == (
        [f"{', '.join(name for name in LEAST if name in gone)}: in the report"] if gone else []
    )


@given(st.lists(st.text("ab猫", min_size=1, max_size=30), min_size=1, max_size=9))
def test_texts_fit_a_line_and_the_others_are_counted(texts: list[str]) -> None:
    line = fitted(texts)
    assert columns(line) <= WIDTH
    shown, _, more = line.partition(", and ")
    assert len(shown.split(", ")) + int((more or "0 more").removesuffix(" more")) == len(texts)


def test_characters_are_counted_as_a_terminal_shows_them() -> None:
    assert [columns(text) for text in ("cat", "猫", "e\u0301", "\x1b[2J")] == [3, 2, 1, 7]
