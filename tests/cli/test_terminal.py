"""Progress: what is shown, how wide, and where; and that the result is printed whatever is in it."""

from __future__ import annotations

import fcntl
import functools
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.cli import terminal
from pipeline.output.progress import Count, Meter, tally

WATCHED = """
import sys, time
from pipeline.cli import terminal
from pipeline.output.progress import tally
terminal.REFRESH_SECONDS = 0.02
tally().start(None if sys.argv[1] == "-" else int(sys.argv[1]))
with terminal.progress():
    for _ in range(16):
        tally().add(scored=int(sys.argv[2]), failures={("preprocess", "INVALID_ARGUMENT"): 7, ("read", "NOT_FOUND"): 3})
        time.sleep(0.1)
    time.sleep(0.4)
"""
STYLING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@functools.cache
def on_terminal(columns: int, total: str, step: int, term: str = "xterm") -> tuple[str, list[str]]:
    """Return what progress writes to a terminal of that width, as it is and as lines without styling."""
    controller, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment = {**inherited, "TERM": term, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", WATCHED, total, str(step)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=screen, env=environment) as process:
        os.close(screen)
        seen = b""
        while True:
            try:
                more = os.read(controller, 65536)
            except OSError:  # Linux says EIO when the other side of a terminal is closed
                break
            seen += more
    os.close(controller)
    assert process.returncode == 0
    return seen.decode(), [line for line in re.split(r"[\r\n]+", STYLING.sub("", seen.decode())) if line.strip()]


SHOWN: Sequence[tuple[int, str, int] | tuple[int, str, int, str]] = [
    (80, "60340", 1_000),
    (60, "60340", 1_000),
    (150, "60340", 1_000),
    (80, "1000000000", 12_345),
    (80, "-", 1_000),
    (80, "60340", 1_000, "dumb"),
]
"""What the tests look at: all is shown at once and remembered, because a bar mostly waits."""


@pytest.fixture(scope="module", autouse=True)
def shown() -> None:
    with ThreadPoolExecutor(len(SHOWN)) as pool:
        list(pool.map(lambda words: on_terminal(*words), SHOWN))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (80, r"scoring ━+.* 16,000 of 60,340  [\d,]+ images/s  \d+ s left  160 failed *"),
        (60, r"scoring ━+.* 16,000/60,340  [\d,]+/s  \d+ s  160 failed *"),
        (150, r"scoring ━+.* 160 failed: 112 not decodable, 48 not found *"),
    ],
)
def test_all_of_it_is_one_line_that_fits(columns: int, said: str) -> None:
    _, lines = on_terminal(columns, "60340", 1_000)
    assert max(map(len, lines)) <= columns - 2, "there is room for the ^C that a terminal shows"
    assert all(line.startswith(("planning", "starting", "scoring")) for line in lines), "nothing below it"
    assert re.fullmatch(said, [line for line in lines if "16,000" in line][-1])


def test_largest_numbers_fit_too() -> None:
    _, lines = on_terminal(80, "1000000000", 12_345)
    assert max(map(len, lines)) <= 80
    assert re.search(
        r"━ 1\d\d,\d\d\d(/| of )1,000,000,000  [\d,]+(/s| images/s)  \d+ h( \d+ min)?( left)?  160 failed", lines[-1]
    )


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.integers(0, 10**10), st.floats(1, 1e6), st.integers(40, 200))
def test_line_beside_the_bar_names_every_number(total: int, scored: int, failed: int, speed: float, room: int) -> None:
    count = Count(max(total, scored), scored, 0, {("read", "NOT_FOUND"): min(failed, scored)})
    text = terminal.progress_text(count, speed, room)
    assert not scored or text.startswith(f"{scored:,}")
    assert not count.failed or f"{count.failed:,} failed" in text
    assert len(text) <= max(room, 61), "beside the shortest bar on 80 columns there are 61"


def test_total_that_only_reading_tells_is_left_out() -> None:
    _, lines = on_terminal(80, "-", 1_000)
    assert any(re.search(r"scoring .* 1\d,000  [\d,]+ images/s  1\d\d failed *$", line) for line in lines)
    assert not any("left" in line for line in lines)


def test_nothing_of_the_bar_stays(tmp_path: Path) -> None:
    seen, _ = on_terminal(80, "60340", 1_000)
    assert seen.endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))
    assert "\x1b[?25h" in seen, "the cursor is shown again"


def test_terminal_that_knows_no_styles_gets_plain_lines() -> None:
    seen, _ = on_terminal(80, "60340", 1_000, "dumb")
    assert "\x1b" not in seen


def test_without_a_terminal_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.1)
    monkeypatch.setattr(terminal, "LOOK_SECONDS", 0.02)
    tally().start(None)
    began = time.monotonic()
    with terminal.progress():
        time.sleep(0.4)
        tally().start(1_000)
        time.sleep(0.4)
        tally().add(scored=100)
        time.sleep(0.3)
        tally().add(scored=400, failures={("read", "NOT_FOUND"): 2})
        time.sleep(1.1)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "planning"
    assert "starting: 0 of 1,000 images" in lines
    pattern = r"scoring: 500 of 1,000 images, \d{3} images/s, \d+ s left, 2 failed: 2 not found"
    assert re.fullmatch(pattern, lines[-1])
    assert 5 <= len(lines) <= (time.monotonic() - began) / terminal.PLAIN_SECONDS


def test_run_that_is_over_soon_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with terminal.progress():
        tally().start(5)
    assert capfd.readouterr().err == ""


def rates(*counts: tuple[float, int], window: float = 30.0) -> list[float]:
    from pipeline.output.progress import Count

    meter = Meter(window)
    return [round(meter.rate(Count(scored=n), now), 1) for now, n in counts]


def test_rate_is_without_the_start() -> None:
    assert rates((0, 0), (50, 0), (60, 100), (61, 300), (62, 500)) == [0, 0, 0, 200, 200]


def test_rate_is_of_late_and_falls_while_nothing_comes() -> None:
    fast = [(second, 1000 * second) for second in range(1, 41)]
    slow = [(40 + second, 40_000 + 10 * second) for second in range(1, 41)]
    found = rates(*fast, *slow, (100, 40_400))
    assert found[39] == 1000
    assert found[79] < 50
    assert found[80] < found[79]


def test_big_steps_far_apart_make_a_rate_too() -> None:
    assert rates(*((60 * n, 2000 * n) for n in range(1, 10)))[-1] == pytest.approx(2000 / 60, abs=0.1)


def test_another_run_begins_anew() -> None:
    assert rates((1, 500), (3, 900), (4, 0), (5, 10), (7, 30)) == [0, 200, 0, 0, 10]


def test_markup_and_control_characters_are_text() -> None:
    stream = io.StringIO()
    terminal.show_facts(Console(file=stream, width=20), [("failed", "[red]x[/] \x1b[2J " + "y" * 50)])
    assert stream.getvalue() == "failed       [red]x[/] \\x1b[2J " + "y" * 50 + "\n"
