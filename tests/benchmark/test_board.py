"""The board in a real Chromium: sorting, cases, names from files, and that it asks for nothing."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Polygon
from PIL import Image
from tiny_store import Discs, write_store
from typer.testing import CliRunner

from benchmark.board.page import as_page
from benchmark.board.pictures import draw_pictures, outline
from benchmark.cases import draw_support, find_cases
from benchmark.cli import app
from benchmark.method import About
from benchmark.ranking import leaderboard
from benchmark.results import (
    ENSEMBLE,
    POOL,
    Provenance,
    folder_of,
    read_results,
    read_rows,
    write_rows,
)
from benchmark.suite import load_suite

SIDE = 32
HOSTILE = "</script><script>document.title='taken'</script><b>"
LABEL = "<img src=x onerror=\"document.title='taken'\">"
SUITE = {
    "id": "discs",
    "version": 1,
    "title": "Discs & <i>rings</i>",
    "resolution": SIDE,
    "support_sizes": [2, 5],
    "draws": 2,
    "tasks": [
        f"{dataset}/discs/mri/axial/mid/{label}"
        for dataset, label in (("one", "disc"), ("two", "disc"), ("two", LABEL), ("three", "disc"))
    ],
}
TRUTH, FOUND = (0x5C, 0xC3, 0xFF), (0xFF, 0xA9, 0x2E)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store, its suite, and results of five methods, one of which failed and one is hostile."""
    folder = tmp_path_factory.mktemp("board")
    one = Discs("one", patients=(6, 1, 4), scans=1)
    two = Discs("two", labels=("disc", LABEL), patients=(6, 1, 3), scans=1)
    store = write_store(folder / "store", one, two, size=SIDE)
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    arguments = ["run", "--store", folder / "store", "--suite", folder / "suite.yaml"]
    arguments += ["--out", folder / "results", "--method", "mean-mask", "--method", "nearest"]
    said = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert said.exit_code == 3, said.output
    suite = load_suite(str(folder / "suite.yaml"))
    _as_another(folder, suite, HOSTILE)
    _as_another(folder, suite, "failing", dice=None, mask=None, failure=HOSTILE)
    _as_another(folder, suite, "pool", support_size=POOL)
    return folder, suite, store


def _as_another(folder, suite, name, **changes: object):
    """Results of another method, made of those of `nearest`."""
    own = folder_of(folder / "results", suite.id, About(name, "a paper"))
    source = next((folder / "results").rglob("nearest*"))
    said = Provenance.load(source)
    about = About(name, HOSTILE)
    own.mkdir(parents=True, exist_ok=True)
    Provenance(name, about, HOSTILE, "0", said.store, said.store_fingerprint, said.missing).save(
        own
    )
    for path in source.glob("*-s5.parquet" if name == "pool" else "*.parquet"):
        rows = [row | {"method": name} | changes for row in read_rows(path)]
        kept = [row for row in rows if row["draw"] == ENSEMBLE or name != "pool"]
        write_rows(kept, own / path.name)


@pytest.fixture(scope="module")
def ranked(made):
    """Rows of all methods, and what is made of them."""
    folder, suite, _ = made
    rows, provenance = read_results(folder / "results")
    return rows, leaderboard(rows, provenance, suite, resamples=100)


@pytest.fixture(scope="module")
def board(made, ranked):
    folder, _, store = made
    rows, found = ranked
    path = folder / "board.html"
    path.write_text(as_page(found, draw_pictures(found, rows, store)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with playwright.sync_playwright() as running:
        own = running.chromium.executable_path
        found = next(filter(None, map(shutil.which, names)), own if Path(own).exists() else None)
        if found is None:
            pytest.skip(f"there is no browser: none of {', '.join(names)}")
        browser = running.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, board):
    """Opens the board; at the end nothing was said on the console, and nothing was asked for."""
    pages, told, asked = [], [], []

    def open_page(path=board, width=1280, **options: object):
        page = browser.new_page(viewport={"width": width, "height": 800}, **options)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        pages.append((page, path.as_uri()))
        return page

    yield open_page
    for page, _ in pages:
        assert not page.title().startswith("taken")
        page.close()
    assert told == []
    assert [url for url in asked if not url.startswith("data:")] == [uri for _, uri in pages]


def column(page, table, number):
    """The words of a column of a table that can be sorted, from above."""
    rows = page.locator("table.sortable").nth(table).locator("tbody tr")
    return [
        re.split(r"\n", rows.nth(row).locator("th, td").nth(number).inner_text())[0]
        for row in range(rows.count())
    ]


def order(page, table):
    heads = page.locator("table.sortable").nth(table).locator("thead th")
    return {
        heads.nth(place).locator("button").inner_text(): said
        for place in range(heads.count())
        if (said := heads.nth(place).get_attribute("aria-sort"))
    }


def test_a_click_sorts_and_another_one_turns_the_order(opened):
    page = opened()
    assert len(order(page, 0)) == 1
    head = page.locator("table.sortable").first.get_by_role("button", name="one", exact=False).first
    head.click()
    down = [float(text) for text in column(page, 0, 3)[:-1]]
    assert down == sorted(down, reverse=True)
    assert len(set(down)) > 1
    assert column(page, 0, 0)[-1] == "failing"
    assert list(order(page, 0).values()) == ["descending"]
    head.click()
    up = [float(text) for text in column(page, 0, 3)[:-1]]
    assert up == sorted(down)
    assert column(page, 0, 0)[-1] == "failing"
    assert list(order(page, 0).values()) == ["ascending"]


def test_the_keyboard_sorts(opened):
    page = opened()
    button = page.locator("table.sortable").first.locator("thead button").first
    while not button.evaluate("button => button === document.activeElement"):
        page.keyboard.press("Tab")
    assert button.evaluate("button => getComputedStyle(button).outlineStyle") != "none"
    page.keyboard.press("Enter")
    names = column(page, 0, 0)
    assert names == sorted(names, key=str.lower)
    page.keyboard.press("Space")
    assert column(page, 0, 0) == names[::-1]


def pixels(tile):
    """What a tile looks like, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(tile.screenshot())).convert("RGB")).astype(int)


def near(picture, colour):
    return np.abs(picture - colour).max(axis=-1) < 40


def is_along(line, mask):
    """Whether a drawn line (h, w) follows the border of a mask (H, W)."""
    from scipy import ndimage

    size = line.shape[::-1]
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    border = inside ^ ndimage.binary_erosion(inside)
    far = 1.5 * len(line) / SIDE
    return bool(
        line.any()
        and ndimage.distance_transform_edt(~border)[line].max() <= far
        and ndimage.distance_transform_edt(~line)[border].max() <= far
    )


def test_a_figure_opens_its_worst_median_and_best_case(opened, made):
    """The pictures are those of the store, and outlines lie where the masks end."""
    folder, suite, store = made
    page = opened()
    task = "one/discs/mri/axial/mid/disc"
    line = page.locator("table.tasks").first.locator("tbody tr").first
    opener = line.get_by_role("button", name="nearest")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    rows = read_rows(next(folder.rglob(f"nearest*/{task.replace('/', '--')}-s5.parquet")))
    ensembles = sorted(
        (row for row in rows if row["draw"] == ENSEMBLE),
        key=lambda row: (row["dice"], row["subject"]),
    )
    (cases,) = [each for each in find_cases(suite, store).tasks if each.task == task]
    for number, place in enumerate((0, len(ensembles) // 2, -1)):
        section, row = dialog.locator("section").nth(number), ensembles[place]
        assert f"Dice {100 * row['dice']:.1f}" in section.inner_text()
        assert row["subject"] in section.inner_text()
        image, mask = store.read(task, row["subject"])
        tiles = section.locator("figure:not(.support) svg")
        query, truth, found = (pixels(tiles.nth(each)) for each in range(3))
        small = np.asarray(
            Image.fromarray(query.mean(axis=-1).astype(np.uint8)).resize((SIDE, SIDE), 4)
        )
        assert np.corrcoef(small.ravel(), image.ravel())[0, 1] > 0.95
        assert not near(query, TRUTH).any()
        assert is_along(near(truth, TRUTH), mask > 0.5)
        assert near(found, FOUND).any()
        query_case = next(each for each in cases.queries if each.subject == row["subject"])
        drawn = draw_support(suite, cases, query_case, 0, 5)
        supports = section.locator(".support svg")
        assert supports.count() == 4
        _, of_first = store.read(task, drawn[0].subject)
        assert is_along(near(pixels(supports.first), TRUTH), of_first > 0.5)
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert opener.evaluate("button => button === document.activeElement")


def test_names_from_files_stay_words(opened):
    page = opened()
    assert HOSTILE in column(page, 0, 0)
    assert page.locator("b, i, img").count() == 0
    assert page.locator("script").count() == 1
    assert page.locator("h1").inner_text() == "Discs & <i>rings</i>"
    assert any(LABEL in text for text in column(page, 1, 0))
    page.get_by_role("button", name="cases of </script>").first.click()
    assert HOSTILE in page.get_by_role("dialog").locator("h2").inner_text()


def test_it_says_what_it_is_of_and_what_is_missing(opened, made):
    page = opened()
    text = page.locator("#provenance").inner_text()
    assert made[1].protocol in text
    assert made[2].attributes.fingerprint in text
    assert "three/discs/mri/axial/mid/disc" in text
    assert f"5 labelled slices, one/discs/mri/axial/mid/disc: {HOSTILE}" in text
    assert "incomplete (0 of 10 cases)" in page.locator("table").first.inner_text()
    assert "2 of 3 datasets" in page.locator("table").first.inner_text()


def test_without_the_store_there_are_no_pictures_and_it_says_so(opened, made, ranked):
    path = made[0] / "plain.html"
    path.write_text(as_page(ranked[1], None), encoding="utf-8")
    page = opened(path)
    assert "made without the store" in page.locator("main").inner_text()
    assert page.locator("td button, dialog, image").count() == 0


def contrast(page, selector):
    """That of WCAG 2, between letters and the page."""
    colours = page.locator(selector).first.evaluate(
        "element => [getComputedStyle(element).color,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_it_can_be_read_in_the_dark(opened):
    for scheme, is_dark in (("light", False), ("dark", True)):
        page = opened(color_scheme=scheme)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (luminance(paper) < 0.05) == is_dark
        for selector in ("td", "td small", "td button", ".notes", "td.faint", "nav a"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)
        letters = page.locator(".chart text").first.evaluate("it => getComputedStyle(it).fill")
        assert abs(luminance(letters) - luminance(paper)) > 0.5


def test_a_phone_need_not_scroll_the_page_sideways(opened):
    page = opened(width=375)
    page.locator("td button").first.click()
    dialog = page.get_by_role("dialog").bounding_box()
    assert dialog["x"] >= 0
    assert dialog["x"] + dialog["width"] <= 375
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_print_shows_what_is_folded(opened):
    page = opened()
    assert page.locator("details[open]").count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details[open]").count() == page.locator("details").count() > 1
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_each_slice_is_held_once_and_the_file_is_bounded(made, ranked):
    store, (rows, found) = made[2], ranked
    pictures = draw_pictures(found, rows, store)
    assert len(set(pictures.slices)) == len(pictures.slices)
    used = {
        shown.picture
        for cases in pictures.cells.values()
        for case in cases
        for shown in (case.query, *case.supports)
    }
    assert used == set(range(len(pictures.slices)))
    assert pictures.left_out == 0
    few = draw_pictures(found, rows, store, most=1000)
    assert few.left_out > 0
    assert len(few.cells) + few.left_out == len(pictures.cells)
    assert f"{few.left_out} figures open no cases" in as_page(found, few)


@settings(max_examples=25, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_an_outline_holds_the_pixels_of_its_mask_and_no_others(mask):
    drawn = outline(mask.astype(float), 0.5)
    rows, columns = np.indices(mask.shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(mask.size, bool)
    for part in re.findall(r"M([^Z]+)Z", drawn):
        points = np.array(part.split(), float).reshape(-1, 2)
        inside ^= Polygon(np.concatenate([points, points[:1]])).contains_points(centres)
    np.testing.assert_array_equal(inside.reshape(mask.shape), mask)
