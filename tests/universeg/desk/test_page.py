"""The page in a browser: drawn with a mouse, and back after a reload; nothing leaves the page.

One server and one browser serve all of it. The network is a small one that has learnt nothing.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from made_desk import write_pictures, write_volumes
from places import ROOT

from universeg.network.universeg import UniverSeg
from universeg.weights.models import save as save_weights

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
PATIENT = 60_000  # milliseconds; a machine may be busy


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with playwright.sync_playwright() as running:
        own = running.chromium.executable_path
        found = next(filter(None, map(shutil.which, names)), own if Path(own).exists() else None)
        if found is None:
            pytest.skip(f"there is no browser: none of {', '.join(names)}")
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(UniverSeg(encoder_blocks=[8, 8], decoder_blocks=[8]), path)
    return path


SERVER_GONE = re.compile(r"net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE)")  # it was killed


@pytest.fixture(scope="module")
def serve(weights):
    """Opens a desk in a process of its own, and gives its address."""
    running = []

    def begin(scans, out):
        start = "from universeg.cli import app; app()"
        command = [sys.executable, "-c", start, "desk", scans, "--out", out]
        process = subprocess.Popen(
            [*map(str, command), "--weights", str(weights), "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        running.append(process)
        for line in process.stdout:
            if found := re.search(r"http\S+", line):
                return found[0], process
        raise AssertionError("the desk has said no address")

    yield begin
    for process in running:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture(scope="module")
def pictures(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    scans = write_pictures(folder / "scans", 3)
    os.rename(scans / "2.png", scans / "<img src=x onerror=document.title=1>.png")  # noqa: PTH104
    return serve(scans, folder / "out")[0], folder / "out"


@pytest.fixture
def opened(browser):
    """Opens an address; at the end nothing was complained of, and nobody else was asked."""
    pages, told, asked = [], [], []

    def open_page(address, width=1280, **options: object):
        page = browser.new_page(viewport={"width": width, "height": 800}, **options)
        page.set_default_timeout(PATIENT)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        pages.append((page, address.split("?")[0]))
        page.goto(address)
        expect(page.locator("#list button[aria-current=true]")).to_have_count(1, timeout=PATIENT)
        return page

    yield open_page
    own = tuple(address for _, address in pages)
    for page, _ in pages:
        page.close()
    assert [url for url in asked if not url.startswith(("blob:", *own))] == []
    assert [line for line in told if not SERVER_GONE.search(line)] == []


def middle(page):
    box = page.locator("#canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def stroke(page, length=120):
    x, y = middle(page)
    with page.expect_response(re.compile("/edits$")) as saved:
        page.mouse.move(x - length / 2, y)
        page.mouse.down()
        page.mouse.move(x + length / 2, y, steps=4)
        page.mouse.up()
    assert saved.value.ok


def state(page, name):
    return expect(page.locator("#scan-state"), f"the state of {name}").to_have_text


def masks(out):
    """The work on scans that somebody drew on."""
    return [path.parent.name for path in out.glob("work/*/edits.jsonl")]


def test_a_person_draws_goes_back_and_accepts(opened, pictures):
    address, out = pictures
    page = opened(address)
    expect(page.locator("#hint")).to_contain_text("Draw what you look for")
    stroke(page)
    state(page, "the first")("begun")
    assert len(masks(out)) == 1
    with page.expect_response(re.compile("/edits$")):
        page.keyboard.press("Control+z")
    expect(page.locator("#redo")).to_be_enabled()
    with page.expect_response(re.compile("/edits$")):
        page.keyboard.press("Control+Shift+Z")

    page.reload()
    state(page, "what was drawn")("begun")

    page.keyboard.press("Enter")  # done: the next one is shown, and others are predicted
    expect(page.locator("#count")).to_have_text("1 of 3 looked at")
    expect(page.locator("#list .state.predicted")).not_to_have_count(0, timeout=PATIENT)
    expect(page.locator("#list .state.corrected")).to_have_count(1)


def test_names_are_text(opened, pictures):
    page = opened(pictures[0])
    expect(page.locator("#list .name", has_text="<img src=x")).to_have_count(1)
    assert page.title() != "1"


def test_labels_are_added_and_renamed(opened, pictures):
    page = opened(pictures[0])
    page.fill("#new-label", "<b>nucleus</b>")
    page.press("#new-label", "Enter")
    name = page.locator("#labels li.active input.named")
    expect(name).to_have_value("<b>nucleus</b>")
    name.click()
    name.fill("nucleus")
    name.press("Enter")
    expect(page.get_by_role("button", name="Show nucleus")).to_be_visible()


def test_a_second_window_is_told(opened, pictures):
    address, _ = pictures
    one, two = opened(address), opened(address)
    for page in (one, two):
        page.locator("#list button[title='1']").click()
        expect(page.locator("#scan-name")).to_have_text("1")
    one.fill("#new-label", "another")
    one.press("#new-label", "Enter")  # which nothing has been found of, so that a stroke is new
    expect(one.locator("#labels li.active input.named")).to_have_value("another")
    stroke(one, 60)
    expect(two.locator("#toasts")).to_contain_text("another window", timeout=PATIENT)
    expect(two.locator("#scan-state")).to_have_text("begun")


def test_on_a_tablet_the_list_comes_when_it_is_asked_for(opened, pictures):
    page = opened(pictures[0], 820, has_touch=True, color_scheme="dark")
    expect(page.locator("#scans")).not_to_be_in_viewport()
    page.get_by_role("button", name="Show the list of scans").click()
    expect(page.locator("#scans")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 820


def test_a_volume_is_looked_through_and_results_are_written(opened, serve, tmp_path):
    scans = write_volumes(tmp_path / "scans", 1)
    address, process = serve(scans, tmp_path / "out")
    page = opened(address)
    expect(page.locator("#slice-said")).to_have_text("6 of 10")
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, 100)
    expect(page.locator("#slice-said")).to_have_text("7 of 10")
    stroke(page)
    expect(page.locator("#slice-said")).to_have_text("7 of 10 · drawn")
    page.get_by_role("button", name="Coronal").click()
    expect(page.locator("#slice-said")).to_have_text("13 of 24")

    process.kill()  # what was drawn is there for the next desk
    process.wait(timeout=30)
    expect(page.locator("#banner")).to_contain_text("does not answer", timeout=PATIENT)
    page.close()
    again = opened(serve(scans, tmp_path / "out")[0])
    state(again, "what was drawn")("begun")
    again.keyboard.press("r")
    again.click("#results-write")
    expect(again.locator("#results-said")).to_contain_text("report.html", timeout=PATIENT)
    assert (tmp_path / "out" / "masks" / "v0.nii.gz").exists()
