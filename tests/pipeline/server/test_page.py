"""The page at `/` in headless Chromium: from a photograph to its classes, by mouse and by keys, and what it says of failures."""

import base64
import io
import json
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from tests.pipeline.conftest import LABELS, nearest_colour
from tests.pipeline.server import browser
from tests.pipeline.server.clients import Rest

LABELLED = "!document.querySelector('#facts').hidden && !document.body.hasAttribute('aria-busy')"
REFUSED = "document.querySelector('.error') !== null"
NAMES = list(LABELS.names)


@pytest.fixture(scope="module")
def chromium():
    """A browser; without one the tests skip, unless KSEG_REQUIRE_CHROMIUM=1."""
    program = browser.find()
    if program is None:
        if os.environ.get("KSEG_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"Chromium must be installed, as one of {', '.join(browser.NAMES)}. apt-get install chromium")
        pytest.skip("no Chromium: apt-get install chromium")
    found = browser.Browser(program)
    yield found
    found.close()


@pytest.fixture(scope="module")
def shifted(exported, tmp_path_factory):
    """The same network with another bias, so that it answers otherwise at some pixels: version 2."""
    from kseg.serving import exporting
    from tests.pipeline.conftest import IMAGE_SIZE, MAX_PIXELS

    folder = tmp_path_factory.mktemp("shifted") / "model"
    model = nearest_colour()
    layer = model.get_layer("score")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.array([0, 12, 0], np.float32)])
    exporting.export(model, folder, labels=LABELS, image_size=IMAGE_SIZE, max_pixels=MAX_PIXELS)
    return folder


@pytest.fixture(scope="module")
def served(exported, shifted, tmp_path_factory, start):
    """A server of a model "photos" with two versions; small bodies, so that a file may be too large."""
    folder = tmp_path_factory.mktemp("served") / "photos"
    shutil.copytree(exported, folder / "1")
    shutil.copytree(shifted, folder / "2")
    return start(folder, versions=2, max_bytes=200_000)


@pytest.fixture
def open_page(chromium, served):
    """A function that opens the page; afterwards nothing went wrong in it, and it asked no other host."""
    tabs = []

    def open_page(address=served.rest, **options):
        tabs.append(chromium.open(f"http://{address}/", **options))
        tabs[-1].wait("document.querySelectorAll('#legend li').length")
        return tabs[-1]

    yield open_page
    for tab in tabs:
        assert not tab.events("Runtime.exceptionThrown")
        assert not [entry for entry in map(str, tab.events("Log.entryAdded")) if "Content Security Policy" in entry]
        urls = [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")]
        assert urls and not [url for url in urls if not url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:"))]
        tab.close()


@pytest.fixture(scope="module")
def photo(png, tmp_path_factory):
    """The picture as a file."""
    path = tmp_path_factory.mktemp("photo") / "street corner.png"
    path.write_bytes(png)
    return path


@pytest.fixture(scope="module")
def answers(served, png):
    """The server's own answers by version: the label map (H, W), and the share of each class."""
    rest, found = Rest(served.rest), {}
    tensor = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(png).decode()]}
    tensor["parameters"] = {"content_type": "base64"}
    for version in (1, 2):
        message = {"parameters": {"signature": "localize"}, "inputs": [tensor]}
        status, answer = rest.json("POST", f"/v2/models/photos/versions/{version}/infer", message)
        assert status == 200, answer
        values = {tensor["name"]: tensor["data"] for tensor in answer["outputs"]}
        label_map = np.asarray(Image.open(io.BytesIO(base64.b64decode(values["label_map_bytes"][0]))))
        found[version] = label_map, values["class_shares"]
    return found


def canvas(tab, selector="#layer"):
    """The pixels (H, W, 4) of a canvas."""
    url = tab.run(f"document.querySelector('{selector}').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def coloured(label_map, shown=range(3)):
    """The pixels (H, W, 4) of a label map in the colours of its classes, transparent where one is not shown."""
    table = np.zeros((3, 4), np.uint8)
    for index in shown:
        table[index] = (*LABELS.colours[index], 255)
    return table[label_map]


def test_files_have_a_strict_policy_and_nothing_else_is_served(served):
    rest = Rest(served.rest)
    for path in ("/", "/main.js", "/page.css", "/icon.svg"):
        status, headers, _ = rest("GET", path)
        assert status == 200 and headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "*" not in policy
    for path in ("/index.html", "/page/", "/../web_page.py", "/%2e%2e/web_page.py", "/main.js/x"):
        assert rest("GET", path)[0] == 404
    status, about = rest.json("GET", "/about")
    assert status == 200 and [entry["version"] for entry in about["versions"]] == [2, 1]
    assert [entry["name"] for entry in about["versions"][0]["classes"]] == NAMES
    assert about["calls"]["/v1/models/photos:predict"] == ["POST"]


def test_before_a_picture_it_says_what_to_do_and_names_the_classes(open_page):
    tab = open_page()
    assert "photos labels every pixel as one of 3 classes" in tab.text("#lead")
    assert tab.text("#legend").split() == NAMES and "Choose a photograph" in tab.text("#drop")
    colours = tab.run("[...document.querySelectorAll('#legend input')].map((e) => getComputedStyle(e).backgroundColor)")
    assert colours == [f"rgb{colour}" for colour in LABELS.colours]


def test_a_picture_is_shown_with_its_classes_shares_boxes_and_times(open_page, photo, answers):
    label_map, shares = answers[2]
    tab = open_page()
    tab.choose(photo)
    tab.wait(LABELLED)
    assert np.array_equal(canvas(tab), coloured(label_map))
    order = sorted(
        (name for name, share in zip(NAMES, shares, strict=True) if share), key=lambda n: -shares[NAMES.index(n)]
    )
    assert tab.run("[...document.querySelectorAll('#legend .name')].map((e) => e.textContent)") == order
    assert f"{100 * max(shares):.0f} %" in tab.text("#legend li")
    facts = tab.text("#facts").split("\n")
    assert "61 x 37" in facts and all(
        facts[facts.index(name) + 1].endswith(" ms") for name in ("Upload", "Server", "Total")
    )
    assert f"labelled: {order[0]} " in tab.text("#status")
    # Nothing of it is stored.
    stored = (
        "localStorage.length + sessionStorage.length + document.cookie.length + (await indexedDB.databases()).length"
    )
    assert tab.run(f"(async () => {stored})()") == 0

    tab.click("#boxes")
    names = tab.run("[...document.querySelectorAll('#regions span')].map((e) => e.textContent)")
    assert names and set(names) <= set(order)
    y, x = 30, 50  # the pixel under the mouse
    tab.point("#frame", (x + 0.5) / 61, (y + 0.5) / 37)
    name = NAMES[label_map[y, x]]
    assert tab.wait("document.querySelector('#readout b')?.textContent") == name and f"x {x}, y {y}" in tab.text(
        "#readout"
    )
    assert tab.text("#legend .pointed .name") == name

    # A class alone while the mouse is on its row, and without it when its box is not ticked.
    ids = [NAMES.index(name) for name in order]
    tab.point("#legend li:nth-child(2)")
    assert np.array_equal(canvas(tab), coloured(label_map, [ids[1]]))
    tab.click("#legend li:nth-child(2) input")
    tab.point("body", 0.5, 0)
    assert np.array_equal(canvas(tab), coloured(label_map, [index for index in ids if index != ids[1]]))
    tab.click("#all")
    assert np.array_equal(canvas(tab), coloured(label_map))

    tab.run(
        "document.querySelector('#opacity').value = 25, document.querySelector('#opacity').dispatchEvent(new Event('input'))"
    )
    assert tab.run("getComputedStyle(document.querySelector('#layer')).opacity") == "0.25"
    tab.click("input[value=confidence] + span")
    tab.wait("!document.querySelector('#sureness').hidden")
    assert canvas(tab, "#sureness").shape == (37, 61, 4)
    tab.point("#frame", 0.3, 0.3)
    assert "confidence" in tab.text("#readout")


def test_downloads_are_the_servers_label_map_and_the_overlay(open_page, photo, answers, tmp_path):
    tab = open_page()
    tab.choose(photo)
    tab.wait(LABELLED)
    options = {"behavior": "allow", "downloadPath": str(tmp_path)}
    tab.browser.call("Browser.setDownloadBehavior", **options)
    for button, name in (("#save-map", "street corner_label_map.png"), ("#save-overlay", "street corner_overlay.png")):
        tab.click(button)
        tab.wait("true")
        for _ in range(200):
            if (tmp_path / name).is_file():
                break
            tab.run("new Promise((done) => setTimeout(done, 50))")
        assert (tmp_path / name).is_file()
    found = Image.open(tmp_path / "street corner_label_map.png")
    assert found.mode == "P" and np.array_equal(np.asarray(found), answers[2][0])
    overlay = np.asarray(Image.open(tmp_path / "street corner_overlay.png").convert("RGB"))
    mixed = 0.6 * coloured(answers[2][0])[..., :3] + 0.4 * np.asarray(Image.open(photo))
    assert np.abs(overlay - mixed).max() < 3


@pytest.mark.parametrize(
    ("colours", "drawn"),
    [
        ([(0, 0, 0), (255, 255, 255)], [(0, 90, 200), (255, 200, 0)]),
        ([(255, 255, 255), (0, 0, 0)], [(255, 200, 0), (0, 90, 200)]),
        ([(250, 240, 230), (0, 0, 0), (0, 90, 210)], [(220, 0, 110), (255, 200, 0), (0, 90, 210)]),
        ([(0, 0, 0), (220, 60, 50)], None),  # only one that a photograph has as well
        ([(0, 0, 0), (90, 90, 90), (220, 60, 50), (50, 90, 220), (50, 220, 90)], None),
        ([(level, level, level) for level in range(0, 250, 10)], None),
    ],
)
def test_classes_that_are_all_grey_are_drawn_in_colours_that_stand_out_from_a_photograph(open_page, colours, drawn):
    tab = open_page()
    classes = json.dumps([{"name": str(number), "colour": colour} for number, colour in enumerate(colours)])
    tab.run(
        "Promise.all([import('/drawing.js'), import('/legend.js')]).then(([drawing, { Legend }]) => "
        f"new Legend(() => {{}}).fill(drawing.standingOut({classes})))"
    )
    found = tab.run(
        "[...document.querySelectorAll('#legend input')]"
        ".map((e) => e.style.getPropertyValue('--colour').match(/\\d+/g).map(Number))"
    )
    assert list(map(tuple, found)) == (drawn or colours)
    assert tab.run("document.querySelector('#recoloured').checkVisibility()") == (drawn is not None)


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(way, open_page, png, answers):
    tab = open_page()
    made = {"paste": "ClipboardEvent('paste', {clipboardData", "drop": "DragEvent('drop', {dataTransfer"}[way]
    tab.run(
        f"""(() => {{
        const bytes = Uint8Array.from(atob('{base64.b64encode(png).decode()}'), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], 'shot.png', {{type: 'image/png'}}));
        document.body.dispatchEvent(new {made}: data, bubbles: true, cancelable: true}}));
        }})()"""
    )
    tab.wait(LABELLED)
    assert np.array_equal(canvas(tab), coloured(answers[2][0]))


def test_what_is_no_picture_is_told_in_the_servers_words_and_the_next_picture_is_labelled(open_page, photo, tmp_path):
    tab = open_page()
    for name, data, expected in (
        ("notes.txt", b"not a picture", "An image must be a JPEG or PNG file."),
        ("cut.png", photo.read_bytes()[:-200], "An image must be whole."),
        ("empty.png", b"", "An image must not be empty."),
        ("large.png", bytes(300_000), "The picture has 0.29 MB. This server takes at most 0.19 MB."),
    ):
        (tmp_path / name).write_bytes(data)
        tab.choose(tmp_path / name)
        tab.wait(f"document.querySelector('.error')?.innerText.includes({json.dumps(expected)})")
        assert tab.run("document.querySelector('#result').hidden && !document.querySelector('#drop').hidden")
    tab.choose(photo)
    tab.wait(LABELLED)
    assert not tab.run(REFUSED)


def test_a_busy_and_an_unreachable_server_are_told_and_tried_again(models, start, open_page, photo):
    server = start(models, queue=1)
    tab = open_page(server.rest)
    check, asked = server.plane.check_room, []

    def full():
        from pipeline.server.errors import RETRY_SECONDS, Code, RequestError

        asked.append(RETRY_SECONDS)
        raise RequestError(Code.BUSY, "At most 1 requests may wait.")

    server.plane.check_room = full
    tab.choose(photo)
    tab.wait(REFUSED)
    assert asked and "The server is busy with other pictures. Try again in 1 s." in tab.text(".error")
    server.plane.check_room = check
    tab.click(".error button")
    tab.wait(LABELLED)
    server.stop()
    tab.choose(photo)
    tab.wait(REFUSED)
    assert "The server cannot be reached." in tab.text(".error")


def test_two_versions_are_compared_by_a_line(open_page, photo, answers):
    tab = open_page()
    tab.choose(photo)
    tab.wait(LABELLED)
    tab.run(
        "document.querySelector('#second').value = '1', document.querySelector('#second').dispatchEvent(new Event('change'))"
    )
    tab.wait("!document.querySelector('#compare').hidden")
    (second, _), (first, _) = answers[1], answers[2]
    assert (first != second).any()
    assert np.array_equal(canvas(tab), coloured(first)) and np.array_equal(canvas(tab, "#other"), coloured(second))
    assert f"agree on {100 * (first == second).mean():.1f} %" in tab.text("#agreement")
    clip = "['#layer', '#other'].map((s) => getComputedStyle(document.querySelector(s)).clipPath)"
    assert tab.run(clip) == ["inset(0px 50% 0px 0px)", "inset(0px 0px 0px 50%)"]
    tab.point("#divider span", kind="mousePressed", button="left", clickCount=1)
    tab.point("#frame", 0.25, kind="mouseMoved", button="left", buttons=1)
    tab.point("#frame", 0.25, kind="mouseReleased", button="left")
    assert abs(float(tab.run("document.querySelector('#divider').style.left.replace('%', '')")) - 25) < 1
    row, column = np.argwhere(first != second)[0]
    tab.point("#frame", (column + 0.5) / 61, (row + 0.5) / 37)
    text = tab.text("#readout")
    assert text.startswith(NAMES[first[row, column]]) and f"version 1: {NAMES[second[row, column]]}" in text


def test_a_page_that_was_opened_before_a_push_asks_the_version_that_is_served_then(
    exported, shifted, start, open_page, photo, answers, tmp_path
):
    folder = tmp_path / "pushed"
    shutil.copytree(exported, folder / "1")
    server = start(folder)
    tab = open_page(server.rest)
    assert "version 1" in tab.text("#model")
    shutil.copytree(shifted, folder / ".scratch")
    (folder / ".scratch").rename(folder / "2")
    end = time.monotonic() + 60
    while list(server.versions.served()) != [2]:
        assert time.monotonic() < end
        time.sleep(0.05)
    tab.choose(photo)
    tab.wait(LABELLED)
    assert "version 2" in tab.text("#model") and np.array_equal(canvas(tab), coloured(answers[2][0]))


def test_everything_is_reached_and_done_by_keys(open_page, photo, answers):
    tab = open_page(width=900, height=800)
    focused = "document.activeElement.id || document.activeElement.value || document.activeElement.tagName"
    tab.press("Tab")
    seen = [tab.run(focused)]
    while seen[-1] != "file":
        tab.press("Tab")
        seen.append(tab.run(focused))
        assert len(seen) < 6, seen
    assert tab.run("getComputedStyle(document.querySelector('#drop .button')).outlineStyle") == "solid"
    tab.choose(photo)
    tab.wait(LABELLED)
    seen = []
    while len(seen) < 60:
        tab.press("Tab")
        seen.append(tab.run(focused))
        if seen[-1] == "BODY":
            break
        if seen[-1] == "stage":
            tab.press("ArrowRight", "Shift+ArrowDown")
            name = NAMES[answers[2][0][18 + 1, 30 + 2]]
            assert tab.text("#status").startswith(name), tab.text("#status")
        if seen[-1] == "boxes":
            tab.press(" ")
            assert tab.run("document.querySelectorAll('#regions div').length")
        assert tab.run("document.activeElement.matches(':focus-visible')"), seen
    for name in (
        "classes",
        "opacity",
        "boxes",
        "smaller",
        "fit",
        "larger",
        "stage",
        "save-map",
        "save-overlay",
        "second",
        "all",
    ):
        assert name in seen, (name, seen)


NAMELESS = """[...document.querySelectorAll('input, select, button, [role=group], img')].filter((e) => e.checkVisibility()
  && !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim() || e.alt)).map((e) => e.outerHTML)"""

CONTRASTS = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => { const [r, g, b] = numbers(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const found = getComputedStyle(e).backgroundColor;
    if ((numbers(found)[3] ?? 1) === 1) return found; } return 'rgb(255, 255, 255)'; };
  const found = [];
  for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('.unseen, #frame, script, noscript')) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.data]);
  }
  return found.sort((a, b) => a[0] - b[0]);
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_every_control_has_a_name_and_nothing_is_wider_than_a_phone(
    dark, open_page, photo, tmp_path
):
    tab = open_page(width=360, height=700, dark=dark)
    (tmp_path / "notes.txt").write_text("no picture")
    for path, done in ((None, "true"), (tmp_path / "notes.txt", REFUSED), (photo, LABELLED)):
        if path:
            tab.choose(path)
        tab.wait(f"Boolean({done})")
        contrasts = tab.run(CONTRASTS)
        assert len(contrasts) > 8 and contrasts[0][0] >= 4.5, contrasts[:3]
        assert tab.run(NAMELESS) == []
        assert tab.run("document.documentElement.scrollWidth") <= 360
    ground = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (int(ground[4:].split(",")[0]) < 60) == dark


def test_motion_stops_for_those_who_ask_for_it(open_page):
    tab = open_page(**{"prefers-reduced-motion": "reduce"})
    assert tab.run("getComputedStyle(document.querySelector('#progress'), '::before').animationName") == "none"


def test_a_model_of_another_program_takes_no_files_and_says_so(numbered, start, chromium, tmp_path):
    shutil.copytree(numbered[1], tmp_path / "numbered" / "1")
    server = start(tmp_path / "numbered")
    tab = chromium.open(f"http://{server.rest}/")
    tab.wait("document.querySelector('#lead').textContent.includes('takes arrays of pixels')")
    assert tab.run(
        "['#drop', 'aside'].every((s) => document.querySelector(s).hidden) && document.querySelector('#file').disabled"
    )
    assert not tab.events("Runtime.exceptionThrown")
    tab.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory, start):
    """A server of a model of 150 classes, whose images have four channels of 16 bits."""
    import keras

    from kseg.serving import exporting

    names = tuple(f"class {index}" for index in range(150))
    colours = tuple((index, 255 - index, (7 * index) % 256) for index in range(150))
    image = keras.Input((None, None, 4), name="image")
    model = keras.Model(image, keras.layers.Conv2D(150, 1)(image))
    folder = tmp_path_factory.mktemp("many") / "many"
    kind = {"dtype": "uint16", "normalization": {"mean": [30000.0] * 4, "deviation": [10000.0] * 4}}
    labels = LabelMap(names, colours, tuple(range(150)))
    exporting.export(model, folder / "1", labels=labels, image_size=(32, 32), max_pixels=10_000, **kind)
    return start(folder)


def test_many_classes_can_be_searched_and_a_picture_that_no_browser_shows_leaves_its_classes(many, open_page, tmp_path):
    from kseg.pairs.channels import encode_as_png

    tab = open_page(many.rest)
    assert "PNG of 4 channels, 16 bits each" in tab.text("#file-hint")
    assert tab.run("document.querySelectorAll('#legend li').length") == 150
    tab.run(
        "document.querySelector('#filter').value = '14', document.querySelector('#filter').dispatchEvent(new Event('input'))"
    )
    shown = tab.run(
        "[...document.querySelectorAll('#legend li')].filter((e) => e.checkVisibility()).map((e) => e.innerText.trim())"
    )
    assert shown == [f"class {index}" for index in range(150) if "14" in str(index)]
    pixels = np.random.default_rng(0).integers(0, 2**16, (20, 30, 4)).astype(np.uint16)
    (tmp_path / "bands.png").write_bytes(encode_as_png(pixels))
    tab.choose(tmp_path / "bands.png")
    tab.wait(LABELLED)
    assert "reads 4 channels, which a browser cannot show" in tab.text("#note")
    assert tab.run("document.querySelector('#photo').hidden") and canvas(tab).shape == (20, 30, 4)
