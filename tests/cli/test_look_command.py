"""`nightscore look`: pictures for a terminal, facts for everybody, one line for what is wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteImages
from PIL import Image
from tiffs import Tiff

from pipeline.cli import look
from pipeline.model.directory import read_spec


def test_facts_and_the_picture(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(p for p in sorted(write_images(1, "photos é").rglob("*")) if p.is_file())
    png = tmp_path / "what it sees.png"
    assert look.main([str(image), "--model", tiny_model, "--png", str(png)]) == 0
    said = capsys.readouterr().out.splitlines()
    rule = read_spec(tiny_model).input
    assert said[0].startswith("image ")
    assert said[0].endswith("pixels")
    assert said[1] == f"model input  {rule.width} x {rule.height} pixels, {rule.color_mode}"
    assert "scaling      unit: the network gets values from 0 to 1" in said
    assert said[-1].endswith("what it sees.png'")
    assert not any("\u2580" in line for line in said)
    with Image.open(png) as picture:
        assert picture.width > picture.height


def test_json(tiny_model: str, write_images: WriteImages, capsys: pytest.CaptureFixture[str]) -> None:
    image = next(p for p in sorted(write_images(1).rglob("*")) if p.is_file())
    assert look.main([str(image), "--model", tiny_model, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["share"] == 1.0
    assert answer["input"]["fit"] == "stretch"
    assert answer["kept"] == [0, 0, answer["width"], answer["height"]]
    assert (answer["scaling"]["name"], answer["scaling"]["offset"]) == ("unit", [0.0])


def imported(name: str, scale: float, *offset: float) -> dict[str, Any]:
    return {"imported": {"scaling": {"name": name, "scale": [scale], "offset": list(offset)}}}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (imported("raw", 1.0, 0.0), "raw: the network gets values from 0 to 255"),
        (imported("custom", -0.01, 1.0), "custom: the network gets values from -1.55 to 1"),
        (imported("caffe", 1.0, -104.0, -117.0, -124.0), "caffe: the network gets values from -124 to 151"),
        ({"imported": {"kind": "an older import"}}, "as imported"),
        ({"imported": {"kind": "files"}, "takes": "encoded"}, "the network decodes and scales the file by itself"),
        ({"training": {"base": {"name": "MobileNetV2", "scaling": "sign"}}}, "sign: as the base, inside the graph"),
        ({"training": {"base": {"name": "a model directory"}}}, "as the base, inside the graph"),
    ],
)
def test_scaling_is_told_of_every_kind_of_model(more: Mapping[str, Any], text: str, tiny_model: str) -> None:
    assert look._scaling_text(replace(read_spec(tiny_model), **more)) == text


@pytest.mark.parametrize("no_color", ["", "1"])
def test_terminal_with_colors_gets_pictures_within_its_width(
    no_color: str, tiny_model: str, write_images: WriteImages
) -> None:
    image = next(p for p in sorted(write_images(1).rglob("*")) if p.is_file())
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "nightscore", "look", str(image), "--model", tiny_model]
    environment = {**os.environ, "COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color", "NO_COLOR": no_color}
    with subprocess.Popen(command, stdout=its, stderr=subprocess.PIPE, env=environment) as process:
        os.close(its)
        shown = b""
        while True:
            try:
                block = os.read(mine, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not block:
                break
            shown += block
        assert process.wait() == 0
    os.close(mine)
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).splitlines()
    pictures = [line for line in lines if "\u2580" in line]
    assert lines[len(pictures)].startswith("image ")
    assert (10 <= len(pictures) <= 20) is not bool(no_color)
    assert max(map(len, pictures), default=0) <= 80


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nowhere.png"], "nightscore look: 'nowhere.png' is not a file: give an image file; one in an archive"),
        (["."], "nightscore look: '.' is not a file: "),
        (["broken.jpg"], "nightscore look: 'broken.jpg' cannot be decoded: "),
        (["empty.png"], "nightscore look: 'empty.png' cannot be decoded: empty file"),
        ([], "nightscore look: the following arguments are required: IMAGE; see 'nightscore look --help'"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    text: str,
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    Path("empty.png").touch()
    assert look.main([*words, "--model", tiny_model, "--png", "out.png"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(text)
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not Path("out.png").exists()


def test_bands_and_background_are_chosen_as_in_a_score(
    tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Tiff(count=5, extra=(0,) * 4)
    bands, drawing, png = tmp_path / "bands.tif", tmp_path / "drawing.png", tmp_path / "seen.png"
    bands.write_bytes(layout.data(layout.samples()))
    Image.linear_gradient("L").save(tmp_path / "alpha.png")
    with Image.open(tmp_path / "alpha.png") as alpha:
        Image.merge("LA", (Image.new("L", alpha.size), alpha)).save(drawing)
    for image, name, value in ((bands, "bands", "3"), (drawing, "background", "white")):
        words = [str(image), "--model", tiny_model, "--png", str(png)]
        assert look.main(words) == 2
        assert f"--{name}" in capsys.readouterr().err
        assert look.main([*words, "--json", f"--{name}", value]) == 0
        assert json.loads(capsys.readouterr().out)["input"][name] == value
        assert look.main([*words, f"--{name}", "none"]) == 2
        assert f"--{name} none is no c" in capsys.readouterr().err


def test_without_a_terminal_a_line_says_how_to_get_the_pictures(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(p for p in sorted(write_images(1).rglob("*")) if p.is_file())
    assert look.main([str(image), "--model", tiny_model]) == 0
    assert "--png FILE.png writes them to a file" in capsys.readouterr().out
    assert look.main([str(image), "--model", tiny_model, "--png", str(tmp_path / "seen.jpg")]) == 2
    assert "must end in .png" in capsys.readouterr().err
    assert not (tmp_path / "seen.jpg").exists()


@pytest.mark.parametrize(("name", "kind"), [("good.keras", "a Keras file"), ("a.tflite", "a LiteRT file")])
def test_model_from_elsewhere_is_named_with_the_command_that_imports_it(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"PK")
    assert look.main(["a.png", "--model", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert f"is {kind}, not a model directory" in err
    assert f"nightscore import-model {tmp_path / name} --output MODEL" in err


def test_no_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert look.main([str(tmp_path / "a.png"), "--model", str(tmp_path)]) == 2
    assert "is not a model directory" in capsys.readouterr().err
