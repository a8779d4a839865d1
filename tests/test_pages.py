"""The pages in a browser: whole without a network, quick, and usable by eye, ear, key and finger.

As in test_site, a check returns what is wrong, and the last tests plant a fault for each to find.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import stamp
from docutils import nodes
from igr import cells, formulas, heads, preview, theme, words
from nbsource import ROOT
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
CHAPTER = "notebooks/03_gan.html"
TERMS = "notebooks/07a_diffusion.html"  # a chapter with links to the glossary
BUDGET = 1_500_000  # bytes that a page may load, not compressed


def names(site: Path) -> list[str]:
    """The pages of the site; index.html only leads to one of them."""
    paths = (path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return sorted(n for n in paths if not n.startswith("_static") and n != "index.html")


def themed(browser: Browser, theme: str, width: int = 1280) -> BrowserContext:
    """A browser profile that has chosen a theme."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    return context


# ---- the checks ------------------------------------------------------------------------------


def unreadable(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds serious or critical on an open page, by these of its rules, or by all.

    It does not look inside the formulas' drawings, which are thousands of outlines; `undrawn` does.
    """
    # All is laid out at once: axe asks for each element, and would lay it out for each anew.
    page.add_style_tag(content="section { content-visibility: visible !important }")
    # What scrolls is made reachable bit by bit while the page is idle.
    page.wait_for_function(
        "() => [...document.querySelectorAll('article pre, .formula')]"
        ".every((e) => e.scrollWidth <= e.clientWidth || e.tabIndex === 0)"
    )
    page.add_script_tag(path=AXE)
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("options => axe.run({exclude: [['.math svg']]}, options)", options)
    return [
        f"{fault['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def undrawn(page: Page) -> list[str]:
    """Formulas that show nothing, say nothing, are cut, or are still TeX."""
    return page.evaluate(
        r"""() => {
      const faults = [];
      for (const math of document.querySelectorAll(".math")) {
        const svg = math.querySelector("svg");
        const box = svg?.getBoundingClientRect();
        if (!svg) faults.push(`not drawn: ${math.textContent}`);
        else if (!(svg.getAttribute("aria-label") ?? "").trim()) faults.push("a formula is silent");
        else if (math.checkVisibility() && !(box.width > 1 && box.height > 1))
          faults.push(`no size: ${svg.getAttribute("aria-label")}`);
        else if ([...svg.querySelectorAll("use")].some(
            (use) => !document.getElementById(use.getAttribute("href").slice(1))))
          faults.push(`a glyph is missing: ${svg.getAttribute("aria-label")}`);
        else if (math.matches("span") && math.checkVisibility()) {
          const room = math.closest("p, li, td, th, dd, dt, figcaption, h1, h2, h3, nav, div");
          const scrolls = getComputedStyle(math).overflowX === "auto";
          if (!scrolls && box.right > room.getBoundingClientRect().right + 2
              && !room.closest(".pst-scrollable-table-container"))
            faults.push(`cut: ${svg.getAttribute("aria-label")}`);
        }
      }
      const main = document.querySelector("main");
      const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
      while (walker.nextNode())
        if (/\\[(\[]/.test(walker.currentNode.data)
            && !walker.currentNode.parentElement.closest("pre, code, script"))
          faults.push(`still TeX: ${walker.currentNode.data}`);
      return faults;
    }"""
    )


def wide(page: Page) -> list[str]:
    """What makes a page wider than its window, so that the whole of it would scroll sideways."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
      [...document.querySelectorAll("article *")]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 3).map((e) => e.outerHTML.slice(0, 120))"""
    )


# ---- the site passes them ----------------------------------------------------------------------


# At night only the colours are others.
@pytest.mark.parametrize(("theme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_every_page_can_be_read_by_all(
    theme: str, rules: tuple[str, ...], site: Path, address: str, browser: Browser
) -> None:
    faults = {}
    with themed(browser, theme) as context:
        page = context.new_page()
        for name in names(site):
            page.goto(f"{address}/{name}")
            if found := unreadable(page, rules):
                faults[name] = found
    assert not faults


def test_pages_ask_no_other_host_and_are_quick(site: Path, address: str, browser: Browser) -> None:
    sizes = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        for name in names(site):
            page, asked = context.new_page(), set()
            page.on("request", lambda request, asked=asked: asked.add(request.url.split("?")[0]))
            page.goto(f"{address}/{name}", wait_until="networkidle")
            assert not [url for url in asked if not url.startswith((address, "data:"))], name
            assert not undrawn(page), name
            # A later page finds files in the cache, so their sizes are those on the disk.
            files = (site / url.removeprefix(f"{address}/") for url in asked if address in url)
            sizes.append(sum(file.stat().st_size for file in files))
            page.close()
    assert median(sizes) < BUDGET
    assert max(sizes) < 2 * BUDGET


def test_only_our_script_measures_what_scrolls(site: Path) -> None:
    """The theme's would lay out all of a page at once when it has loaded."""
    assert '"#none"' in (site / theme.SCRIPT).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["book/intro.html", CHAPTER, "book/results.html"])
def test_a_page_is_whole_without_network_and_server(
    name: str, site: Path, context: BrowserContext, tab: Page
) -> None:
    context.set_offline(True)
    tab.goto((site / name).as_uri())
    assert not undrawn(tab)
    before = tab.evaluate("document.documentElement.dataset.theme")
    shown = [before]
    for _ in range(3):
        tab.locator(".theme-switch-button").first.click()
        shown.append(tab.evaluate("document.documentElement.dataset.theme"))
    assert set(shown) == set(THEMES)
    icon = tab.locator(".search-button .fa-magnifying-glass").last
    assert icon.evaluate(
        """async (icon) => {
          const wanted = getComputedStyle(icon, "::before").fontFamily;
          return [...await document.fonts.ready].some(({ status, weight, family }) =>
            status === "loaded" && weight === "900" && wanted.includes(family.replaceAll('"', "")));
        }"""
    )


def test_tables_sort_by_keyboard_without_a_server(site: Path, tab: Page) -> None:
    tab.goto((site / "book/results.html").as_uri())
    table = tab.locator("table.igr-results").first
    button = table.locator("thead button").first
    first = table.locator("tbody tr td:first-child")
    button.focus()
    orders = []
    for _ in range(2):
        tab.keyboard.press("Enter")
        orders.append(first.all_inner_texts())
    assert orders[0] == orders[1][::-1] != orders[1]
    assert table.locator("thead th").first.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize(
    ("asked", "page"),
    [("Tweedie", "07a_diffusion"), ("ELBO", "04_vae"), ("sigma", "notation"), ("σ", "notation"),
     ("score", "07a_diffusion")],
)  # fmt: skip
def test_search_finds_terms_and_letters(
    asked: str, page: str, served: bool, site: Path, address: str, tab: Page
) -> None:
    tab.goto(f"{address if served else site.as_uri()}/search.html?q={asked}")
    expect(tab.locator(f"#search-results a[href*='{page}.html']").first).to_be_attached()


def test_the_keyboard_is_enough(address: str, tab: Page) -> None:
    tab.goto(f"{address}/{CHAPTER}")
    tab.keyboard.press("Tab")
    skip = tab.locator("#pst-skip-link a")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#main-content"
    outline = "e => { e.focus(); return getComputedStyle(e).outlineStyle }"
    toggle = tab.locator("details.hide > summary").first
    toggle.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("details.hide").first.get_attribute("open") is not None
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Tab")
    for focusable in (toggle, tab.locator("article a.reference").first):
        assert focusable.evaluate(outline) != "none"


def test_terms_and_citations_explain_themselves(address: str, tab: Page) -> None:
    tab.goto(f"{address}/{TERMS}")
    note = tab.locator("#igr-note")
    expect(note).to_be_hidden()
    for kind, told in (
        ("glossary.html#term", "[a-z]{3}"),
        ("bibliography.html#", "(19|20)[0-9]{2}"),
    ):
        link = tab.locator(f"article a[href*='{kind}']").first
        link.focus()
        expect(note).to_be_visible()
        expect(note).to_contain_text(re.compile(told))
        assert link.get_attribute("aria-describedby") == "igr-note"
        tab.keyboard.press("Escape")
        expect(note).to_be_hidden()
        link.hover()
        expect(note).to_be_visible()
        tab.mouse.move(0, 0)


def test_a_chapter_tells_its_times_and_folds_its_solutions(address: str, tab: Page) -> None:
    tab.goto(f"{address}/{CHAPTER}")
    text = tab.locator("p.times").inner_text()
    assert re.fullmatch(r"About \d+ minutes to read, 120 seconds to run on two cores\.", text)
    solutions = tab.locator(".tag_solution")
    assert solutions.count() >= 3
    assert not [o for o in solutions.locator(".cell_output").all() if o.is_visible()]
    solutions.locator("summary").first.click()
    expect(solutions.locator(".cell_output").first).to_be_visible()
    code = tab.locator(".cell_input pre").all_inner_texts()
    assert code
    assert not [text for text in code if re.search(r"# (fmt: skip|noqa)", text)]


@pytest.mark.parametrize("name", ["book/intro.html", "book/results.html", CHAPTER,
                                  TERMS])  # fmt: skip
def test_a_telephone_shows_all_of_a_page(name: str, address: str, browser: Browser) -> None:
    with themed(browser, "light", width=390) as context:
        page = context.new_page()
        page.goto(f"{address}/{name}")
        assert not wide(page)
        assert not undrawn(page)


def test_a_hundred_characters_fit_a_line_of_code(address: str, tab: Page) -> None:
    tab.goto(f"{address}/{CHAPTER}")
    pre = tab.locator(".cell_input pre").last
    room = pre.evaluate(
        "e => { e.textContent = 'x'.repeat(100); e.closest('details')?.setAttribute('open', '');"
        " return [e.scrollWidth, e.clientWidth] }"
    )
    assert room[0] <= room[1]


def test_the_page_for_lost_readers_works_at_any_depth(address: str, tab: Page) -> None:
    body = (tab.request.get(f"{address}/404.html")).text()
    tab.route(f"{address}/some/deep/page.html", lambda route: route.fulfill(
        status=404, content_type="text/html", body=body))  # fmt: skip
    tab.goto(f"{address}/some/deep/page.html")
    assert tab.locator("article h1").inner_text() == "No page at this address"
    assert tab.evaluate("getComputedStyle(document.querySelector('.igr-lost')).display") == "flex"
    tab.locator(".igr-lost input").fill("Tweedie")
    tab.keyboard.press("Enter")
    expect(tab.locator("#search-results a").first).to_be_attached()


def test_paper_shows_the_text_alone_and_unfolded(address: str, tab: Page) -> None:
    tab.goto(f"{address}/{CHAPTER}")
    around = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article")
    for part in around:
        expect(tab.locator(part).first).to_be_visible()
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    for part in around:
        expect(tab.locator(part).first).to_be_hidden()
    assert not tab.locator("details:not([open])").count()
    code = tab.locator(".cell_input pre").first
    assert code.evaluate("e => getComputedStyle(e).whiteSpace") == "pre-wrap"


def test_every_page_describes_itself(site: Path) -> None:
    told = {}
    for name in names(site):
        text = (site / name).read_text(encoding="utf-8")
        found = re.search(r'<meta name="description" content="([^"]{40,180})"', text)
        assert found, name
        told[name] = found[1]
        for key in ("title", "description", "image"):
            assert f'<meta property="og:{key}" content="' in text, (name, key)
    assert len({told[name] for name in told if "/" in name}) == len([n for n in told if "/" in n])
    for picture, size in ((heads.PREVIEW, (1200, 630)), (heads.ICON, (180, 180))):
        with Image.open(site / picture) as image:
            assert image.size == size
            assert len(image.convert("RGB").getcolors(image.width * image.height)) > 3


# ---- small pieces ------------------------------------------------------------------------------


def test_site_address() -> None:
    assert heads.site_address("") == ""
    for repository, address in (
        ("https://github.com/Owner/book", "https://owner.github.io/book/"),
        ("https://github.com/o/o.github.io", "https://o.github.io/"),
    ):
        assert heads.site_address(repository) == address
        assert f"({address})" in stamp.badges(repository, ROOT)


def test_the_preview_shows_a_grey_picture_in_greys() -> None:
    file = io.BytesIO()
    Image.fromarray(np.arange(100, 200, dtype=np.uint8).reshape(10, 10)).save(file, "png")
    drawn = preview.preview("A title: of two parts", [file.getvalue()])
    drawn.savefig(file := io.BytesIO())
    pixels = np.array(Image.open(file).convert("RGB"))[30:200, 700:1100]
    assert len(np.unique(pixels)) > 50
    assert not np.ptp(pixels, axis=2).any()


def test_plain_formula_and_sentence() -> None:
    assert words.plain_formula(r"\sigma^2 \le p(x)") == "σ^2 ≤ p(x)"
    assert words.sentence("One. Two. " + "x" * 50, 12) == "One. Two."
    assert words.sentence("word " * 20, 12) == "word word…"


def test_remarks_to_tools_are_dropped() -> None:
    code = "a = 1  # fmt: skip\n# fmt: off\nb = 2  # noqa: E501\nc = 3  # a letter\n"
    assert cells.TO_TOOLS.sub("", code) == "a = 1\nb = 2\nc = 3  # a letter\n"


def test_hidden_cells_in_a_row_share_the_fold_of_the_first_that_prints() -> None:
    def cell(code: str, *printed: str, hide: str = "input") -> nodes.container:
        parts = (nodes.container("", nodes.literal_block(text, text)) for text in (code, *printed))
        return nodes.container("", *parts, nb_element="cell_code", hide_mode=hide)

    page = nodes.section(
        "", cell("a = 1"), cell("b = 2"), cell("b", "2"), cell("c = 3"), cell("d", hide="all")
    )
    for one in list(page.children):
        cells.Cells.fold(one)
    folds = [[block.astext() for block in one[0].children] for one in page.children]
    assert folds == [["a = 1", "b = 2", "b"], ["c = 3"], ["d"]]


@pytest.mark.parametrize(("text", "wraps"), [("✓ as it should be: 0.1", True), ("a    0.1", False)])
def test_printed_sentences_may_wrap_and_columns_may_not(text: str, wraps: bool) -> None:
    block = nodes.literal_block(text, text, classes=["output", "stream"])
    cells.Cells.tidy(block)
    assert ("sentences" in block["classes"]) is wraps


def test_a_wrong_formula_is_found_and_a_right_one_is_said() -> None:
    pages = {"one.html": [(r"x \sim p(x)", False)], "two.html": [(r"\wrong{x}", True), ("x", True)]}
    drawn = formulas.draw(pages, ROOT)
    assert 'aria-label="x is drawn from p of x"' in drawn["one.html"]["drawn"][0]
    assert not drawn["one.html"]["faults"]
    (fault,) = drawn["two.html"]["faults"]
    assert "wrong" in fault


# ---- planted faults ----------------------------------------------------------------------------

SOUND = """<!DOCTYPE html><html lang="en"><head><title>A page</title></head><body>
<main><h1>A page</h1><article><p>Text <span class="math"><svg width="20" height="10" role="img"
aria-label="x"><use href="#x"></use></svg></span> <a href="#x">a link</a></p></article>
<svg width="0" height="0"><path id="x" d="M0 0H9V9"></path></svg></main></body></html>"""
CHECKS: dict[str, Callable[[Page], list[str]]] = {
    check.__name__: check for check in (unreadable, undrawn, wide)
}
FAULTS = [
    ("unreadable", 'lang="en"', ""),
    ("unreadable", "<p>", '<p style="color: #ccc">'),
    ("undrawn", 'aria-label="x"', ""),
    ("undrawn", 'href="#x"', 'href="#y"'),
    ("undrawn", 'width="20"', 'width="0"'),
    ("undrawn", 'width="20"', 'width="4000"'),
    ("undrawn", "Text", r"Text \(x\)"),
    ("wide", "<p>", '<p style="width: 3000px">'),
]


@pytest.mark.parametrize("check", CHECKS)
def test_checks_pass_a_sound_page(check: str, tab: Page) -> None:
    tab.set_content(SOUND)
    assert CHECKS[check](tab) == []


@pytest.mark.parametrize(("check", "sound", "fault"), FAULTS)
def test_checks_see_a_planted_fault(check: str, sound: str, fault: str, tab: Page) -> None:
    assert sound in SOUND
    tab.set_content(SOUND.replace(sound, fault, 1))
    assert CHECKS[check](tab)
