"""The page in a browser: drawn with a mouse, and back after a reload; nothing leaves the page.

One server and one browser serve all of it. The network is a small one that has learnt nothing.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from made_desk import write_pictures, write_volumes
from places import ROOT

from universeg.desk.catalogue import lay_out
from universeg.desk.desk import Desk
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


MEANT = re.compile(
    r"net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE|CONTENT_LENGTH_MISMATCH)|status of (507|422)|Canvas2D"
)  # a desk was killed, a disk was full


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
        shown(page)
        return page

    yield open_page
    own = tuple(address for _, address in pages)
    for page, _ in pages:
        page.close()
    assert [url for url in asked if not url.startswith(("blob:", *own))] == []
    assert [line for line in told if not MEANT.search(line)] == []


def shown(page):
    """Waits until a scan is there that can be drawn on."""
    expect(page.locator("#canvas[aria-busy=false]")).to_be_attached(timeout=PATIENT)


def middle(page):
    box = page.locator("#canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def stroke(page, length=120, down=0):
    x, y = middle(page)
    y += down
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
        chosen(page, "1")
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
    page.evaluate("""() => {  // as after a tuning that has helped
        for (const id of ["tune", "tune-back"]) document.getElementById(id).hidden = false;
    }""")
    assert page.evaluate("(p => p.scrollWidth <= p.clientWidth)(document.querySelector('#panel'))")
    assert page.locator("#tune-minutes").bounding_box()["width"] >= 80


def test_enlarged_twice_nothing_lies_over_anything_else(opened, pictures):
    page = opened(pictures[0], 640)
    page.set_viewport_size({"width": 640, "height": 400})
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    scan, panel = (page.locator(each).bounding_box() for each in ("#stage", "#panel"))
    assert scan["height"] >= 240
    assert scan["y"] + scan["height"] <= panel["y"]
    page.locator("#finish").scroll_into_view_if_needed()
    expect(page.locator("#finish")).to_be_in_viewport(ratio=1)


@pytest.fixture(scope="module")
def volumes(serve, tmp_path_factory):
    """A desk of a volume and of a CT, which is killed by the last test that takes it."""
    folder = tmp_path_factory.mktemp("volumes")
    scans = write_volumes(folder / "scans", 1)
    values = np.random.default_rng(0).integers(-1000, 1200, (20, 20, 6)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.eye(4)), scans / "ct.nii.gz")
    return *serve(scans, folder / "out"), folder


def test_a_ct_has_windows_and_is_dragged_brighter(opened, volumes):
    page = opened(volumes[0])
    chosen(page, "ct")
    expect(page.locator("#preset option")).to_contain_text(
        ["As it is", "Whole range", "Soft tissue", "Lung", "Bone"]
    )
    x, y = middle(page)

    def brightness():
        page.wait_for_timeout(100)
        return page.evaluate(
            "[...document.querySelector('#canvas').getContext('2d')"
            ".getImageData(200, 200, 300, 300).data].reduce((a, b) => a + b)"
        )

    page.select_option("#preset", label="Lung")
    lung = brightness()
    page.select_option("#preset", label="Bone")
    assert brightness() < lung
    before = brightness()
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x, y - 150, steps=3)
    page.mouse.up(button="right")
    assert brightness() > before


def test_a_volume_is_looked_through_and_results_are_written(opened, serve, volumes):
    address, process, folder = volumes
    page = opened(address)
    chosen(page, "v0")
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
    again = opened(serve(folder / "scans", folder / "out")[0])
    state(again, "what was drawn")("begun")
    again.keyboard.press("r")
    again.click("#results-write")
    expect(again.locator("#results-said")).to_contain_text("report.html", timeout=PATIENT)
    assert (folder / "out" / "masks" / "v0.nii.gz").exists()


@pytest.fixture(scope="module")
def drawn_on(serve, tmp_path_factory):
    """Two pictures for tools, and one that is cut off; nothing is predicted."""
    folder = tmp_path_factory.mktemp("tools")
    scans = write_pictures(folder / "scans", 2)
    (scans / "(cut off).png").write_bytes((scans / "0.png").read_bytes()[:200])
    address, _ = serve(scans, folder / "out")
    return address, folder / "out"


def layer(out, name="0"):
    """What is on disk of a scan's first label."""
    desk = Desk(lay_out(out.parent / "scans", print), out, "axial", {})
    (identity,) = [each for each, entry in desk.entries.items() if entry.name == name]
    return desk.masks(identity).layer(1)


def saved(page):
    return page.expect_response(re.compile("/edits$"))


def chosen(page, name):
    page.locator(f"#list button[title='{name}']").click()
    expect(page.locator("#scan-name")).to_have_text(name)
    shown(page)


def test_from_what_cannot_be_read_one_goes_on(opened, drawn_on):
    page = opened(drawn_on[0])
    expect(page.locator("#scan-name")).to_have_text("0")  # the first that can be shown
    expect(page.locator("#toasts")).to_contain_text("(cut off) cannot be shown")
    page.get_by_role("button", name="(cut off), cannot be shown").click()
    expect(page.locator("#note")).to_contain_text("(cut off) cannot be shown: it ")
    expect(page.locator("#finish")).to_contain_text("Next")
    page.keyboard.press("Enter")
    expect(page.locator("#scan-name")).to_have_text("0")
    shown(page)
    expect(page.locator("#note")).to_be_hidden()


def test_polygon_fill_and_eraser(opened, drawn_on):
    address, out = drawn_on
    page = opened(address)
    chosen(page, "0")
    x, y = middle(page)
    page.keyboard.press("g")
    for dx, dy in ((-80, -80), (80, -80), (80, 80), (-80, 80)):
        page.mouse.click(x + dx, y + dy)
    with saved(page):
        page.keyboard.press("Enter")
    square = layer(out)
    assert square.any() and square[square.any(axis=1)][:, square.any(axis=0)].all()

    page.keyboard.press("e")
    page.keyboard.press("]")
    with saved(page):
        page.mouse.click(x, y)
    hole = layer(out)
    assert 0 < hole.sum() < square.sum()
    page.keyboard.press("f")
    with saved(page):
        page.mouse.click(x, y)
    np.testing.assert_array_equal(layer(out), square)


def test_a_pen_draws_and_then_a_finger_moves(opened, drawn_on):
    address, out = drawn_on
    page = opened(address, 820, has_touch=True)
    page.get_by_role("button", name="Show the list of scans").click()
    chosen(page, "1")
    x, y = middle(page)
    touch = page.context.new_cdp_session(page)

    def finger(kind, *at: tuple[float, float]):
        points = [{"x": left, "y": top, "id": n} for n, (left, top) in enumerate(at)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pen(kind, dx, buttons):
        told = {"type": kind, "x": x + dx, "y": y, "button": "left", "buttons": buttons}
        touch.send("Input.dispatchMouseEvent", told | {"pointerType": "pen", "clickCount": 1})

    with saved(page):
        finger("touchStart", (x, y))
        finger("touchMove", (x + 40, y))
        finger("touchEnd")
    by_finger = layer(out, "1").sum()
    assert by_finger

    finger("touchStart", (x - 60, y), (x + 60, y))  # two of them enlarge, and draw nothing
    finger("touchMove", (x - 120, y), (x + 120, y))
    finger("touchEnd")
    assert layer(out, "1").sum() == by_finger

    with saved(page):
        pen("mousePressed", -80, 1)
        pen("mouseMoved", -40, 1)
        pen("mouseReleased", -40, 0)
    by_pen = layer(out, "1").sum()
    assert by_pen > by_finger
    finger("touchStart", (x, y + 80))  # the hand that holds the pen
    finger("touchMove", (x + 90, y + 80))
    finger("touchEnd")
    assert layer(out, "1").sum() == by_pen


def test_what_cannot_be_saved_is_kept_and_sent_again(opened, drawn_on):
    address, out = drawn_on
    page = opened(address)
    chosen(page, "0")
    before = layer(out).sum()
    is_full = [True]

    def disk(route):
        if is_full[0]:
            said = {"problem": "The disk is full", "remedy": "Make room"}
            route.fulfill(status=507, json=said)
        else:
            route.continue_()

    page.route("**/edits", disk)
    x, y = middle(page)
    with saved(page):
        page.mouse.click(x - 150, y + 150)
    expect(page.locator("#banner")).to_contain_text("The disk is full")
    expect(page.locator("#banner")).to_contain_text("is kept in this page")
    is_full[0] = False
    expect(page.locator("#banner")).to_be_hidden(timeout=PATIENT)
    assert layer(out).sum() > before


def test_a_label_is_hidden_overlaps_and_is_taken_away(opened, drawn_on):
    address, out = drawn_on
    page = opened(address)
    chosen(page, "0")
    page.fill("#new-label", "rim")
    page.press("#new-label", "Enter")
    expect(page.locator("#labels li.active input.named")).to_have_value("rim")
    with page.expect_response(re.compile("/api/labels$")):
        page.check("#overlap")
    stroke(page)
    before = layer(out)
    page.get_by_role("button", name="Show rim").click()
    expect(page.get_by_role("button", name="Show rim")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Take rim away").click()
    page.locator("#ask button[value=yes]").click()
    expect(page.locator("#labels li")).to_have_count(1)
    np.testing.assert_array_equal(layer(out), before)  # what lay below it is still there


@pytest.mark.long
def test_it_is_tuned_at_a_click_while_one_goes_on_drawing(opened, serve, tmp_path):
    address, _ = serve(write_pictures(tmp_path / "scans", 3), tmp_path / "out")
    page = opened(address)
    expect(page.locator("#tune")).to_be_hidden()
    for name in ("0", "1", "2"):
        chosen(page, name)
        stroke(page)
    for count in (1, 2):
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text(f"{count} of 3 looked at")
        state(page, "the next")("begun")
    expect(page.locator("#labels .left-out")).to_contain_text("Dice", timeout=3 * PATIENT)
    page.evaluate("document.querySelector('#tune-minutes option:checked').value = '1'")
    page.click("#tune-begin")
    expect(page.locator("#tune-stop")).to_be_visible()
    stroke(page, down=100)
    said = re.compile("No better, so nothing has changed|on scans that were left out")
    expect(page.locator("#tune-said")).to_have_text(said, timeout=PATIENT)
    back = page.locator("#tune-back")
    if back.is_visible():
        back.click()
    expect(back).to_be_hidden()
