"""The models inside the pages: each demo starts, answers as PyTorch does, and says what is wrong.

Where the browser is missing, these tests are skipped (see conftest.py). What the seconds are is
measured by `make bench`; here is only tested that things work.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from export import MODELS, build, cards, sample
from helpers.data import photographs
from helpers.physics import Radon
from helpers.solvers import fbp
from igr.live import DEMOS
from nbsource import ROOT
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

MANIFEST = json.loads((MODELS / "manifest.json").read_text(encoding="utf-8"))
PLAYGROUND = "/book/playground.html"
TOLERANCE = 1e-3


@pytest.fixture
def playground(tab: Page, address: str) -> Page:
    """The page with all demos, none of them started."""
    tab.goto(address + PLAYGROUND)
    return tab


@pytest.fixture(scope="module")
def modules(browser: Browser, address: str) -> Iterator[Page]:
    """The same page, one for all tests that only call the demos' modules."""
    tab = browser.new_page()
    tab.goto(address + PLAYGROUND)
    yield tab
    tab.close()


def started(page: Page, name: str):
    """The demo's box, after its start button was pressed and its first answer has come."""
    box = page.locator(f".igr-live[data-demo={name}]")
    box.get_by_role("button", name="Start").click()
    expect(box).to_have_attribute("data-state", "running", timeout=60_000)
    return box


def pixels(box, which: str = "canvas") -> str:
    """What a canvas shows."""
    return box.locator(which).first.evaluate("canvas => canvas.toDataURL()")


def call(page: Page, module: str, expression: str, *given) -> np.ndarray:
    """A value of the demos' own modules: `expression` sees the module as `m` and `given` as `a`."""
    code = f"async (a) => {{ const m = await import('/_static/live/{module}.js'); {expression} }}"
    return np.array(page.evaluate(code, list(given)), dtype=np.float32)


# ---- the answers are PyTorch's ----------------------------------------------------------------


@pytest.mark.parametrize("card", [c for c in cards() if c["export"]], ids=lambda card: card["name"])
def test_the_browser_answers_as_pytorch_does(card: dict, modules: Page) -> None:
    network, inputs = build(card), card["export"]["inputs"]
    feeds = sample(inputs, batch=1, seed=3)
    with torch.no_grad():
        wanted = network(*feeds)
    wanted = [wanted] if isinstance(wanted, torch.Tensor) else wanted
    given = [[port["name"], x.flatten().tolist(), list(x.shape)]
             for port, x in zip(inputs, feeds, strict=True)]  # fmt: skip
    for port, y in zip(card["export"]["outputs"], wanted, strict=True):
        found = call(
            modules,
            "models",
            "const feeds = Object.fromEntries(a[1].map(([port, data, dims]) =>"
            "  [port, {data: Float32Array.from(data), dims}]));"
            "return [...(await m.run(a[0], feeds))[a[2]].data];",
            card["name"], given, port["name"],
        )  # fmt: skip
        assert np.abs(found - y.flatten().numpy()).max() < TOLERANCE


@pytest.mark.parametrize("size", [(24, 36), (7, 5), (31, 64)])
def test_pictures_are_resized_as_pytorch_does(size: tuple[int, int], modules: Page) -> None:
    x = torch.rand(1, 1, 21, 18, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.interpolate(x, size, mode="bicubic", antialias=True)
    found = call(
        modules, "pixels",
        "return [...m.resize(m.plane(Float32Array.from(a[0]), 21, 18), a[1], a[2]).data];",
        x.flatten().tolist(), *size,
    )  # fmt: skip
    assert np.abs(found - wanted.flatten().numpy()).max() < TOLERANCE


@pytest.mark.parametrize("views", [7, 30])
def test_the_scanner_is_that_of_the_helpers(views: int, modules: Page) -> None:
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    A = Radon((64, 64), torch.arange(views) * (180 / views), detectors=91)
    y = A(x)
    found = call(
        modules, "radon",
        "return [...m.radon({data: Float32Array.from(a[0]), H: 64, W: 64}, a[1]).data];",
        x.flatten().tolist(), views,
    )  # fmt: skip
    assert np.abs(found - y.flatten().numpy()).max() < TOLERANCE * y.max().item()
    found = call(
        modules, "radon",
        "return [...m.fbp({data: Float32Array.from(a[0]), H: a[1], W: 91}, 64).data];",
        y.flatten().tolist(), views,
    )  # fmt: skip
    assert np.abs(found - fbp(A, y).flatten().numpy()).max() < TOLERANCE


# ---- every demo works -------------------------------------------------------------------------


def test_sliders_over_z_draw_digits(playground: Page) -> None:
    box = started(playground, "generate")
    before = pixels(box)
    box.locator("input[type=range]").first.fill("8")
    playground.wait_for_function(
        "before => document.querySelector('[data-demo=generate] canvas').toDataURL() !== before",
        arg=before,
    )
    box.get_by_role("button", name="Walk").click()
    expect(box.locator(".igr-live-panel figcaption")).to_contain_text("digits a second")
    box.get_by_role("button", name="Stop").click()


def test_a_drawn_digit_is_read(playground: Page) -> None:
    box = started(playground, "classify")
    for k in range(10):
        box.get_by_role("button", name=str(k), exact=True).click()
        expect(box.get_by_role("status")).to_have_text(
            f"The network reads {'an' if k == 8 else 'a'} {k}."
        )
    box.get_by_role("button", name="Clear").click()
    expect(box.get_by_role("status")).to_have_text("Write a digit.")
    pad = box.locator("canvas")
    pad.scroll_into_view_if_needed()
    corner = pad.bounding_box()
    middle = corner["x"] + corner["width"] / 2
    box.get_by_role("button", name="3", exact=True).click()  # the first stroke wipes it off
    playground.mouse.move(middle, corner["y"] + 40)
    playground.mouse.down()
    playground.mouse.move(middle, corner["y"] + 240, steps=8)
    playground.mouse.up()
    expect(box.get_by_role("status")).to_have_text("The network reads a 1.")


def test_a_drawn_digit_is_encoded_and_its_code_can_be_moved(playground: Page) -> None:
    box = started(playground, "encode")
    seen, made = box.locator(".igr-live-panel canvas").all()
    distance = """([x, y]) => {
        const of = c => [...c.getContext("2d").getImageData(0, 0, 28, 28).data];
        const [a, b] = [of(x), of(y)];
        return Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length) / 255;
    }"""
    apart = playground.evaluate(distance, [seen.element_handle(), made.element_handle()])
    assert 0 < apart < 0.2  # two different digits are 0.3 apart and more
    before = made.evaluate("c => c.toDataURL()")
    box.locator("input[type=range]").first.fill("3")
    playground.wait_for_function(
        "([c, before]) => c.toDataURL() !== before", arg=[made.element_handle(), before]
    )
    box.get_by_role("button", name="Back").click()
    playground.wait_for_function(
        "([c, before]) => c.toDataURL() === before", arg=[made.element_handle(), before]
    )
    box.get_by_role("button", name="Clear").click()
    expect(box.locator("input[type=range]").first).to_be_disabled()


def test_noise_flows_to_the_wanted_digit(playground: Page) -> None:
    box = started(playground, "flow")
    before = pixels(box)
    box.get_by_role("combobox").select_option("0")
    playground.wait_for_function(
        "before => document.querySelector('[data-demo=flow] canvas').toDataURL() !== before",
        arg=before,
    )
    expect(box.locator(".igr-live-panel figcaption")).to_have_text("t = 0.00, the digit")


def numbers(text: str) -> list[float]:
    """The decibels that a demo states, in order."""
    return [float(word) for word in text.replace(",", " ").split() if word.count(".") == 1
            and word.replace(".", "").isdigit()]  # fmt: skip


def test_a_photograph_is_enlarged(playground: Page, tmp_path: Path) -> None:
    box = started(playground, "enlarge")
    formula, network = numbers(box.locator(".igr-live-words").inner_text())
    assert network > formula + 1
    photo = photographs("test", size=96)["rocket"]
    file = tmp_path / "rocket.png"
    Image.fromarray((255 * photo.permute(1, 2, 0)).byte().numpy()).save(file)
    box.locator("input[type=file]").set_input_files(file)
    expect(box.get_by_role("status")).to_contain_text(
        "shrunk to 32 by 32, and from those the network enlarged it 3 times"
    )
    before = pixels(box)
    box.get_by_label("beside").select_option("the truth")
    expect(box.locator(".igr-live-words")).to_contain_text("x, the truth")
    assert pixels(box) != before
    box.get_by_label("factor").select_option("4")
    expect(box.get_by_role("status")).to_contain_text(
        "shrunk to 24 by 24, and from those the network enlarged it 4 times"
    )


def test_noise_is_taken_from_a_photograph(playground: Page) -> None:
    box = started(playground, "denoise")
    noisy, clean = numbers(box.locator(".igr-live-words").inner_text())
    assert noisy == pytest.approx(20.3, abs=1)
    assert clean > noisy + 6
    box.get_by_label("noise added").fill("0")
    expect(box.locator(".igr-live-words")).to_contain_text("x, without noise")


def test_views_can_be_chosen(playground: Page) -> None:
    box = started(playground, "tomography")
    words = box.locator(".igr-live-panel figcaption")
    expect(box.get_by_role("status")).to_contain_text("as here")
    at_30 = [numbers(words.nth(k).inner_text())[0] for k in (2, 3, 4)]
    assert at_30[0] + 5 < min(at_30[1:])
    box.get_by_label("views").fill("8")
    expect(words.nth(4)).to_contain_text("made for 30 views")
    expect(box.get_by_role("status")).to_contain_text("never saw")
    assert numbers(words.nth(2).inner_text())[0] < at_30[0]


# ---- what can go wrong ------------------------------------------------------------------------


def upload(box, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    box.locator("input[type=file]").set_input_files(file)


def png(width: int, height: int) -> bytes:
    """A black picture."""
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_file_that_is_no_picture_gets_a_sentence(playground: Page, tmp_path: Path) -> None:
    box = started(playground, "denoise")
    before = pixels(box)
    upload(box, tmp_path / "notes.png", b"no picture at all")
    expect(box.get_by_role("alert")).to_contain_text("notes.png is not a picture")
    upload(box, tmp_path / "huge.png", bytes(31_000_000))
    expect(box.get_by_role("alert")).to_contain_text("31 MB; at most 30 MB")
    upload(box, tmp_path / "tiny.png", png(4, 200))
    expect(box.get_by_role("alert")).to_contain_text("4 by 200 pixels")
    upload(box, tmp_path / "thin.png", png(3000, 40))  # after shrinking four pixels high
    expect(box.get_by_role("alert")).to_contain_text("3000 by 40 pixels")
    assert pixels(box) == before
    upload(box, tmp_path / "sound.png", png(48, 24))
    expect(box.get_by_role("status")).to_contain_text("48 by 24 pixels")
    expect(box.get_by_role("alert")).to_be_empty()


def test_what_is_transparent_stands_on_white(playground: Page, tmp_path: Path) -> None:
    box = started(playground, "denoise")
    box.get_by_label("noise added").fill("0")
    buffer = io.BytesIO()
    Image.new("LA", (24, 24)).save(buffer, "PNG")
    upload(box, tmp_path / "glass.png", buffer.getvalue())
    expect(box.get_by_role("status")).to_contain_text("24 by 24 pixels")
    first = "c => [...c.getContext('2d').getImageData(0, 0, 1, 1).data]"
    assert box.locator("canvas").first.evaluate(first) == [255, 255, 255, 255]


def test_a_photograph_may_be_dropped_on_all_of_a_demo(playground: Page, tmp_path: Path) -> None:
    box = started(playground, "denoise")
    drop = """(e, data) => {
        const given = new DataTransfer();
        given.items.add(new File([Uint8Array.from(data)], "mine.png", {type: "image/png"}));
        const event = new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true});
        return !e.dispatchEvent(event);
    }"""
    picture = list(png(36, 24))
    assert box.locator("canvas").first.evaluate(drop, picture)
    expect(box.get_by_role("status")).to_contain_text("36 by 24 pixels")
    # Beside a demo it is not taken, nor does it replace the page.
    assert playground.locator("body").evaluate(drop, picture)


@pytest.mark.parametrize(
    "name",
    ["gan_generator.onnx", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
     "worker.js", "generate.js"],
)  # fmt: skip
def test_a_file_that_does_not_come_can_be_asked_again(name: str, playground: Page) -> None:
    playground.route(f"**/{name}", lambda route: route.abort())
    box = playground.locator(".igr-live[data-demo=generate]")
    box.get_by_role("button", name="Start").click()
    expect(box.get_by_role("status")).to_contain_text("Press Start again.")
    playground.unroute(f"**/{name}")
    started(playground, "generate")


def test_a_failure_after_the_start_is_told(playground: Page) -> None:
    box = started(playground, "enlarge")
    playground.route("**/srresnet_x4.onnx", lambda route: route.abort())
    box.get_by_label("factor").select_option("4")
    expect(box.get_by_role("alert")).to_contain_text("srresnet_x4.onnx did not come")
    playground.unroute("**/srresnet_x4.onnx")
    box.get_by_label("factor").select_option("3")
    expect(box.get_by_role("alert")).to_be_empty()
    box.get_by_label("factor").select_option("4")
    expect(box.get_by_role("status")).to_contain_text("enlarged it 4 times")


def test_a_network_on_its_way_holds_up_no_other(playground: Page) -> None:
    waiting: list[Route] = []
    playground.route("**/ct_reconstructor.onnx", lambda route: waiting.append(route))
    box = playground.locator(".igr-live[data-demo=tomography]")
    box.get_by_role("button", name="Start").click()
    started(playground, "generate")
    waiting[0].continue_()
    expect(box).to_have_attribute("data-state", "running", timeout=60_000)


def test_without_a_server_or_scripts_a_picture_and_a_sentence_remain(
    browser: Browser, site: Path, address: str
) -> None:
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.goto((site / PLAYGROUND[1:]).as_uri())
    for box in tab.locator(".igr-live").all():
        assert box.locator("img").is_visible()
        assert "make serve" in box.text_content()  # inner_text skips what is far below
        assert not box.get_by_role("button").count()
    context.close()
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address + PLAYGROUND)
    for box in tab.locator(".igr-live").all():
        assert box.locator("img").is_visible()
        assert "where JavaScript is on" in box.text_content()
    context.close()


def test_nothing_is_loaded_before_a_start_and_nothing_from_elsewhere(
    tab: Page, address: str, tmp_path: Path
) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address + PLAYGROUND)
    assert not [url for url in asked if url.endswith((".onnx", ".wasm", "worker.js"))]
    box = started(tab, "denoise")
    upload(box, tmp_path / "mine.png", png(24, 24))
    expect(box.get_by_role("status")).to_contain_text("24 by 24 pixels")
    assert any(url.endswith(".wasm") for url in asked)
    assert not [url for url in asked if not url.startswith((address, "blob:", "data:"))]
    assert all("mine" not in url for url in asked)


# ---- the demos stand where they belong --------------------------------------------------------


@pytest.mark.parametrize("name", DEMOS)
def test_each_demo_stands_in_its_chapter(name: str, tab: Page, address: str) -> None:
    demo = DEMOS[name]
    tab.goto(f"{address}/{demo.docname}.html")
    assert tab.locator(f".igr-live[data-demo={name}]").count() == 1
    known = {entry["name"] for entry in MANIFEST}
    assert set(demo.models) <= known
    if name == "flow":  # one chapter's demo is started, in its own page
        started(tab, name)


def test_every_exported_network_is_in_a_demo() -> None:
    scripts = (ROOT / "book" / "_static" / "live").glob("*.js")
    named = re.findall(r'"(\w+)"', "".join(path.read_text(encoding="utf-8") for path in scripts))
    assert {entry["name"] for entry in MANIFEST} <= set(named)
