"""report.html in a real browser: what it looks like and what it does, in every light, and that it talks to nobody."""

from __future__ import annotations

import base64
import functools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compared_outputs import compared
from example_nights import FAILURES, HOSTILE, NIGHTS, night, picture
from mostly_heavy import mostly_heavy
from reviewed_outputs import REVIEWED, reviewed_page
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from pipeline.report.comparison_page import comparison_page
from pipeline.report.page import report
from pipeline.storage.locations import key_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

pytestmark = pytest.mark.skipif(not BROWSER or not DRIVER, reason="there is no Chromium with its chromedriver")

CONTRASTS = """
const channel = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const over = ([r, g, b, a = 1], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
const behind = (node) => {
  if (!node) return [255, 255, 255];
  const color = parse(getComputedStyle(node).backgroundColor);
  return color[3] === undefined ? color : over(color, behind(node.parentElement));
};
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const says = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  if (!says || !node.checkVisibility() || node.closest("script, title, desc")) continue;
  const style = getComputedStyle(node);
  const ground = behind(node);
  const ink = over(parse(node.closest("svg") ? style.fill : style.color), ground);
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) found.push([node.tagName + "." + node.className, node.textContent.slice(0, 40), ratio.toFixed(2)]);
}
return found;
"""
"""What text has a contrast with what is behind it that is below WCAG's AA."""

UNCOVERED = """
const { left, top, height } = arguments[0].getBoundingClientRect();
return arguments[0].contains(document.elementFromPoint(left + 20, top + height / 2));
"""
"""Whether an element is in sight, and nothing lies over it."""


class Window:
    """A browser's window with a page."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def show(self, page: str, width: int = 1_200, scheme: str = "light", script: bool = True, anchor: str = "") -> None:
        """Open a page from a file."""
        path = self.folder / "report.html"
        path.write_text(page, encoding="utf-8")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        light = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.driver.get("about:blank")
        self.requests()
        self.complaints()
        self.driver.get(path.as_uri() + anchor)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def column(self, table: str, number: int) -> list[str]:
        """Return the texts of a table's column, of the rows that are shown."""
        script = "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.textContent.trim())"
        found: list[str] = self.run(script, f"{table} tbody tr:not([hidden]) > :nth-child({number})")
        return found

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def complaints(self) -> list[str]:
        """Return what the console has said since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses asked for since the last time."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Window(driver, folder)
    finally:
        driver.quit()


@functools.cache
def page_of(name: str) -> str:
    return report(*NIGHTS[name]().arguments)


@pytest.mark.parametrize("name", mostly_heavy(NIGHTS, kept=["labelled", "nothing", "hostile"]))
def test_page_opens_in_silence_and_is_no_wider_than_a_phone(window: Window, name: str) -> None:
    window.show(page_of(name), width=400)
    assert window.complaints() == []
    assert {address.split(":")[0] for address in window.requests()} <= {"file", "data"}
    assert window.run("return document.documentElement.scrollWidth") <= 400
    assert window.one("h1").is_displayed()
    assert window.one("#first").is_displayed()


@pytest.mark.parametrize("name", mostly_heavy(["labelled", "unlabelled", "nothing"], kept=["labelled"]))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(window: Window, name: str, scheme: str) -> None:
    window.show(page_of(name), scheme=scheme)
    brightness = sum(map(int, re.findall(r"\d+", window.one("body").value_of_css_property("background-color"))[:3]))
    assert brightness < 100 if scheme == "dark" else brightness > 700
    window.run("for (const found of document.querySelectorAll('details')) found.open = true")
    assert window.run(CONTRASTS) == []


@pytest.mark.parametrize("row", [".confusion tbody tr:first-child", ".confusion tbody tr:last-child"])
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_cell_of_the_matrix_opens_its_worst_examples(window: Window, row: str, script: bool) -> None:
    window.show(page_of("labelled"), script=script)
    cell = window.one(f"{row} td.miss a")
    pair = window.one(str(cell.get_attribute("href")).partition("html")[2])
    assert not pair.is_displayed()
    window.run("arguments[0].focus()", cell)
    window.press(Keys.ENTER)
    assert pair.is_displayed()
    pictures = pair.find_elements(By.CSS_SELECTOR, ".pic")
    assert len(pictures) == 4
    assert all(p.value_of_css_property("background-image").startswith('url("data:image/png') for p in pictures)
    assert all(p.size["width"] > 30 and p.size["height"] > 30 for p in pictures)
    if script:
        assert window.run(UNCOVERED, pair.find_element(By.XPATH, "..").find_element(By.TAG_NAME, "summary"))


def test_pictures_are_walked_through_without_a_mouse(window: Window) -> None:
    window.show(page_of("labelled"))
    first, second, *_, last = window.all("#mistakes .pic")
    window.run("arguments[0].focus()", first)
    window.press(Keys.ENTER)
    viewer, image = window.one("dialog"), window.one("dialog img")
    shown = [image.get_attribute("src")]
    assert viewer.is_displayed()
    assert "Most confident mistakes: 1 of 24" in viewer.text
    assert "The label\u2019s score: 0.10" in viewer.text
    window.press(Keys.ARROW_RIGHT)
    shown.append(image.get_attribute("src"))
    assert "2 of 24" in viewer.text
    assert window.one("dialog a").get_attribute("href") == second.get_attribute("href")
    window.press(Keys.END)
    shown.append(image.get_attribute("src"))
    assert "24 of 24" in viewer.text
    assert len(set(shown)) == 3
    assert all(str(address).startswith("data:image/png") for address in shown)
    assert image.size["width"] >= 300
    assert image.value_of_css_property("image-rendering") == "pixelated"
    window.press(Keys.ARROW_DOWN)
    assert "24 of 24" in viewer.text
    window.press(Keys.TAB)
    assert window.driver.switch_to.active_element == window.one("dialog a")
    window.press(Keys.ESCAPE)
    assert not viewer.is_displayed()
    assert window.driver.switch_to.active_element == last
    assert window.complaints() == []


def test_picture_without_a_link_opens_by_key(window: Window) -> None:
    some = night()
    some.figures["inputs"][0]["input"] = "az://container/archive"
    for example in some.figures["least_certain"]:
        example["key"] = f"az://container{example['key']}"
    some.pictures |= {f"az://container{key}": data for key, data in some.pictures.items()}
    window.show(report(*some.arguments))
    window.run("arguments[0].focus()", window.one("#uncertain span.pic"))
    window.press(Keys.SPACE)
    assert "Least certain images: 1 of 24" in window.one("dialog").text
    assert not window.one("dialog a").is_displayed()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_original_of_any_name_opens(window: Window, script: bool) -> None:
    original = window.folder / "50% #1?\u00fc %41.png"
    original.write_bytes(picture(1))
    some = night()
    some.figures["inputs"][0]["input"] = key_of(str(window.folder))
    some.figures["most_confident_mistakes"][0]["key"] = key_of(str(original))
    some.pictures[key_of(str(original))] = picture(1)
    window.show(report(*some.arguments), script=script)
    before = window.driver.current_window_handle
    window.one("#mistakes .pic").click()
    if script:
        window.one("dialog a").click()
    (opened,) = set(window.driver.window_handles) - {before}
    window.driver.switch_to.window(opened)
    try:
        assert window.driver.current_url == original.as_uri()
        assert "28" in window.driver.title, "the browser names an image by its size"
    finally:
        window.driver.close()
        window.driver.switch_to.window(before)


def test_link_with_an_anchor_opens_the_pair(window: Window) -> None:
    window.show(page_of("labelled"))
    link = str(window.one(".confusion td.miss a").get_attribute("href"))
    anchor = "#" + link.partition("#")[2]
    window.show(page_of("labelled"), anchor=anchor)
    assert window.one(anchor).is_displayed()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "").rstrip("\xa0%")) for text in texts]


def test_table_sorts_by_click_and_by_key(window: Window) -> None:
    window.show(page_of("1,000 classes"))
    before = window.column("#class-table", 7)
    head, button = window.one("#class-table th:nth-child(7)"), window.one("#class-table th:nth-child(7) button")
    assert head.get_attribute("aria-sort") is None
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers(window.column("#class-table", 7)) == sorted(numbers(before), reverse=True)
    window.press(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(window.column("#class-table", 7)) == sorted(numbers(before))
    window.run("document.querySelector('#class-table th button').focus()")
    window.press(Keys.SPACE)
    assert window.one("#class-table th").get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") is None
    assert window.column("#class-table", 1) == [f"class {c}" for c in range(1_000)]


def test_what_has_no_number_is_sorted_last(window: Window) -> None:
    some = night()
    for c in (0, 4):
        some.figures["per_class"][c]["precision"] = None
    window.show(report(*some.arguments))
    for _ in range(2):
        window.one("#class-table th:nth-child(6) button").click()
        assert window.column("#class-table", 6)[-2:] == ["\u2013", "\u2013"]
        assert set(window.column("#class-table", 1)[-2:]) == {"class 0", "class 4"}


def test_filter_shows_what_is_asked_for(window: Window) -> None:
    window.show(page_of("1,000 classes"))
    box = window.one(".filter[data-table=class-table] input")
    box.send_keys("CLASS 99")
    assert window.column("#class-table", 1) == ["class 99", *(f"class {c}" for c in range(990, 1_000))]
    assert window.one(".filter[data-table=class-table] output").text == "11 of 1,000"
    box.send_keys(Keys.BACKSPACE * 8)
    assert len(window.column("#class-table", 1)) == 1_000


def test_filter_of_pairs_asks_for_their_classes_not_for_their_examples(window: Window) -> None:
    window.show(page_of("1,000 classes"))
    box = window.one(".filter[data-table=pairs] input")
    box.send_keys(".png")
    assert window.column("#pairs", 1) == []
    box.clear()
    box.send_keys("taken for class 1")
    assert 0 < len(window.column("#pairs", 1)) < 200


def test_few_rows_need_no_filter(window: Window) -> None:
    window.show(page_of("2 classes"))
    assert window.all("input") == []


def test_without_script_nothing_is_there_that_does_nothing(window: Window) -> None:
    window.show(page_of("1,000 classes"), script=False)
    assert window.all("button") == []
    assert not any(found.is_displayed() for found in window.all("input"))
    assert window.one("#mistakes .pic").is_displayed()
    assert len(window.column("#class-table", 1)) == 1_000


def test_hostile_names_are_text(window: Window) -> None:
    window.show(report(*night(HOSTILE, failures=FAILURES, hostile=True).arguments))
    window.run("for (const found of document.querySelectorAll('details')) found.open = true")
    assert "<script>alert(1)</script>" in window.one("main").text
    assert window.run("return document.scripts.length") == 1
    assert window.all("img, iframe, object, svg [onload], [onmouseover]") == []
    assert window.complaints() == []


def test_policy_stops_what_the_page_has_not_brought(window: Window) -> None:
    window.show(page_of("labelled"))
    window.run("""document.body.insertAdjacentHTML("beforeend", '<img src="x.png" onerror="window.hit = 1">');
        const added = document.createElement("script"); added.text = "window.hit = 2"; document.body.append(added);""")
    assert window.run("return window.hit") is None
    assert "Content Security Policy" in " ".join(window.complaints())


def test_keyboard_comes_to_the_content_first_and_sees_where_it_is(window: Window) -> None:
    window.show(page_of("labelled"))
    window.press(Keys.TAB)
    link = window.driver.switch_to.active_element
    assert link.text == "Skip to the content"
    assert link.rect["x"] >= 0
    window.press(Keys.ENTER, Keys.TAB)
    assert window.run("return document.querySelector('main').contains(document.activeElement)")
    assert window.driver.switch_to.active_element.value_of_css_property("outline-style") == "solid"


@pytest.mark.parametrize("scheme", mostly_heavy(["light", "dark"], kept=["dark"]))
def test_training_report_is_a_page_of_the_same_kind(window: Window, tiny_model: str, scheme: str) -> None:
    page = Path(tiny_model, "training", "report.html").read_text(encoding="utf-8")
    window.show(page, width=400, scheme=scheme)
    assert window.complaints() == []
    assert window.run("return document.documentElement.scrollWidth") <= 400
    window.run("for (const found of document.querySelectorAll('details')) found.open = true")
    assert window.run(CONTRASTS) == []
    pictures = window.all("#golden .pic, #samples .pic, .pair .pic")
    assert len(pictures) > 20
    assert all(p.value_of_css_property("background-image").startswith('url("data:image/') for p in pictures)


@pytest.mark.parametrize(
    ("kind", "scheme"),
    mostly_heavy(
        [("changed", "light"), ("changed", "dark"), ("values", "light"), ("1,000 classes", "dark")],
        kept=[("changed", "dark")],
    ),
)
def test_comparison_is_a_page_of_the_same_kind(window: Window, tmp_path: Path, kind: str, scheme: str) -> None:
    found = compared(kind, tmp_path)
    window.show(comparison_page(found.figures, found.pictures), width=400, scheme=scheme)
    assert window.complaints() == []
    assert {address.split(":")[0] for address in window.requests()} <= {"file", "data"}
    assert window.run("return document.documentElement.scrollWidth") <= 400
    assert window.run("return document.scripts.length") == 1
    assert window.all("img, iframe, object, svg [onload], [onmouseover]") == []
    if kind == "changed":
        assert window.run(CONTRASTS) == []
        assert "<script>alert(1)</script>" in window.one("main").text
        pictures = window.all("#changed .pic")
        assert len(pictures) > 20
        assert all(p.value_of_css_property("background-image").startswith('url("data:image/') for p in pictures)


@pytest.fixture(scope="module", params=mostly_heavy(REVIEWED, kept=["accepted", "no labels, given score"]))
def reviewed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return reviewed_page(request.param, tmp_path_factory.mktemp("reviewed"))


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return reviewed_page("accepted", tmp_path_factory.mktemp("accepted"))


def test_page_of_a_review_fits_a_phone_and_can_be_read_in_the_dark(window: Window, reviewed: str) -> None:
    window.show(reviewed, width=400, scheme="dark")
    assert window.complaints() == []
    assert {address.split(":")[0] for address in window.requests()} <= {"file", "data"}
    assert window.run("return document.documentElement.scrollWidth") <= 400
    assert window.run("return document.scripts.length") == 1
    assert window.all("img, iframe, object, svg [onload], [onmouseover]") == []
    wide = "return [...document.querySelectorAll('caption')].filter((c) => c.checkVisibility() && c.scrollWidth > 360)"
    assert window.run(wide + ".map((c) => c.textContent)") == [], "to be read without scrolling"
    window.run("for (const found of document.querySelectorAll('details')) found.open = true")
    assert window.run(CONTRASTS) == []


@pytest.mark.heavy
def test_page_of_a_review_can_be_read_in_the_light(window: Window, reviewed: str) -> None:
    window.show(reviewed)
    assert window.complaints() == []
    window.run("for (const found of document.querySelectorAll('details')) found.open = true")
    assert window.run(CONTRASTS) == []


@pytest.mark.heavy
def test_page_of_a_review_is_no_wider_than_paper(window: Window, reviewed: str) -> None:
    window.show(reviewed, width=688)
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert window.run("return document.documentElement.scrollWidth") <= 688, "A4 with margins of 14 mm"
    finally:
        window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("table", ["accept-table", "accept-class-table", "curves-table"])
def test_tables_of_a_review_sort_by_number(window: Window, accepted: str, table: str) -> None:
    window.show(accepted)
    window.run("for (const found of document.querySelectorAll('details')) found.open = true")
    heads = window.all(f"#{table} th button")
    assert len(heads) >= 4
    for number, head in enumerate(heads, 1):
        if "text" in str(head.find_element(By.XPATH, "..").get_attribute("class")):
            continue
        window.run("arguments[0].focus()", head)
        orders = []
        for _ in range(2):
            window.press(Keys.ENTER)
            cells = [cell.rstrip("\u2190 ") for cell in window.column(f"#{table}", number)]
            orders.append(numbers([cell for cell in cells if cell != "\u2013"]))
        assert orders[0] in (sorted(orders[0]), sorted(orders[0], reverse=True))
        assert orders[1] == orders[0][::-1]
    assert window.complaints() == []


@pytest.mark.heavy
def test_pictures_of_copies_are_walked_through_from_group_to_group(window: Window, accepted: str) -> None:
    window.show(accepted)
    pictures = window.all("#copies .pic")
    assert len(pictures) == 3
    window.run("arguments[0].focus()", pictures[0])
    window.press(Keys.ENTER)
    viewer = window.one("dialog")
    assert f"Images that are there more than once: 1 of {len(pictures)}" in viewer.text
    assert "2 copies, labels differ" in viewer.text
    window.press(Keys.ARROW_RIGHT)
    assert f"2 of {len(pictures)}" in viewer.text
    window.press(Keys.ESCAPE)
    assert not viewer.is_displayed()
    WebDriverWait(window.driver, 20).until(lambda driver: driver.switch_to.active_element == pictures[1])


@pytest.mark.heavy
def test_page_prints_with_its_pictures_on_white_paper(window: Window) -> None:
    window.show(page_of("labelled"), scheme="dark")
    paper = base64.b64decode(window.driver.print_page())
    assert paper.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type /Page\b", paper)) <= 12
    assert len(re.findall(rb"/Subtype /Image\b", paper)) >= 48
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert window.one("body").value_of_css_property("background-color") in (
        "rgba(255, 255, 255, 1)",
        "rgb(255, 255, 255)",
    )
    assert not window.one("nav").is_displayed()
    assert window.run(CONTRASTS) == []
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
