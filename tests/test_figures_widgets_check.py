"""helpers.figures, widgets, source and check: what a reader sees."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import re

import ipywidgets
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import figures, source
from helpers.check import check
from helpers.widgets import explore
from hypothesis import given, settings
from hypothesis import strategies as st

few = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch):
    """The figures that were shown, on a canvas that needs no screen."""
    mpl.use("agg")
    seen: list[plt.Figure] = []
    monkeypatch.setattr(plt, "show", lambda: seen.append(plt.gcf()))
    with plt.rc_context():
        figures.use_style()
        yield seen
    plt.close("all")


# ---------------------------------------------------------------- mosaic

A, B, C = (torch.full((1, 2, 2), value) for value in (0.0, 0.25, 0.5))
A[0, 0, 1] = 0.75  # so that a transposed or mirrored image would show


def test_mosaic_by_hand():
    one = 1.0  # paper: the gap, and the place that no image fills
    expected = [
        [0.00, 0.75, one, 0.25, 0.25],
        [0.00, 0.00, one, 0.25, 0.25],
        [one, one, one, one, one],
        [0.50, 0.50, one, one, one],
        [0.50, 0.50, one, one, one],
    ]
    sheet = figures.mosaic(torch.stack([A, B, C]), 2, gap=1)
    np.testing.assert_array_equal(sheet, np.array(expected, np.float32))


@few
@given(
    n=st.integers(1, 7), c=st.sampled_from([1, 3]), h=st.integers(1, 4), w=st.integers(1, 4),
    columns=st.integers(1, 5), gap=st.integers(0, 3),
)  # fmt: skip
def test_every_image_stands_in_its_place(n, c, h, w, columns, gap):
    x = torch.rand(n, c, h, w) * 0.9
    sheet = figures.mosaic(x, columns, gap=gap)
    rows = math.ceil(n / columns)
    shape = (rows * (h + gap) - gap, columns * (w + gap) - gap)
    assert sheet.shape == (shape if c == 1 else (*shape, 3))
    sheet = sheet.reshape(*shape, c)
    for i, image in enumerate(x.numpy()):
        top, left = divmod(i, columns)
        tile = sheet[top * (h + gap) :, left * (w + gap) :][:h, :w]
        np.testing.assert_array_equal(tile, image.transpose(1, 2, 0))
        tile[:] = 1
    assert (sheet == 1).all()  # nothing stands anywhere else


def test_mosaic_clips_and_takes_what_a_network_gives():
    x = torch.tensor([-0.5, 1.5], dtype=torch.float64, requires_grad=True).view(2, 1, 1, 1)
    assert figures.mosaic(x, 2, gap=0).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("shape", "columns", "message"),
    [
        ((3, 4, 4), 1, r"takes images \(N, 1 or 3, H, W\), got \(3, 4, 4\)"),
        ((2, 2, 4, 4), 1, r"takes images \(N, 1 or 3, H, W\), got \(2, 2, 4, 4\)"),
        ((0, 1, 4, 4), 1, "needs an image and a column, got 0 and 1"),
        ((2, 1, 4, 4), 0, "needs an image and a column, got 2 and 0"),
    ],
)
def test_mosaic_names_wrong_shapes(shape: tuple[int, ...], columns: int, message: str):
    with pytest.raises(ValueError, match=message):
        figures.mosaic(torch.zeros(shape), columns)


# ---------------------------------------------------------------- figures


def test_images_are_shown_as_they_are(shown: list):
    """Not stretched to the darkest and brightest pixel, which would hide what went wrong."""
    figures.show_images(torch.stack([B, B, C]), 3, title="three", width=4)
    (figure,) = shown
    (ax,) = figure.axes
    (image,) = ax.images
    assert image.get_clim() == (0, 1)
    assert image.get_array().max() == 1  # the paper
    assert ax.get_title() == "three"
    assert figure.get_figwidth() == 4


def test_images_on_given_axes_are_left_to_the_caller_to_show(shown: list):
    _, axes = plt.subplots(1, 2)
    figures.show_images(torch.stack([A, B]), 1, ax=axes[1])
    assert not shown
    assert [len(ax.images) for ax in axes] == [0, 1]


def test_rows_bear_their_names(shown: list):
    figures.show_rows({"before": torch.stack([C, B]), "after": torch.stack([B, C])})
    (figure,) = shown
    assert [ax.get_ylabel() for ax in figure.axes] == ["before", "after"]
    for ax, x in zip(figure.axes, ([C, B], [B, C]), strict=True):
        expected = figures.mosaic(torch.stack(x), 2)
        np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        assert ax.images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("smooth", "x", "y"),
    [
        (1, [0, 10, 20, 30], [1, 2, 6, 7]),
        (2, [5, 15, 25], [1.5, 4, 6.5]),
        (4, [15], [4]),
        (9, [15], [4]),  # a short run is not a fault of the reader's
    ],
)
def test_curves_are_averaged(shown: list, smooth: int, x: list[float], y: list[float]):
    figures.show_curves(
        {"loss": [1, 2, 6, 7]}, [0, 10, 20, 30], xlabel="step", ylabel="value", smooth=smooth
    )
    (line,) = shown[0].axes[0].lines
    np.testing.assert_allclose(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), y)
    assert line.get_label() == "loss"
    assert shown[0].axes[0].get_xlabel() == "step"


def test_curves_on_given_axes_are_left_to_the_caller_to_show(shown: list):
    _, ax = plt.subplots()
    figures.show_curves({"a": [1, 2], "b": [2, 1]}, [0, 1], xlabel="", ylabel="", ax=ax)
    assert not shown
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert [line.get_color() for line in ax.lines] == list(figures.COLOURS[:2])


# ---------------------------------------------------------------- widgets


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What was drawn once, and what was handed to ipywidgets."""
    calls: dict[str, list] = {"draw": [], "interact": []}
    monkeypatch.setattr(ipywidgets, "interact", lambda *a, **k: calls["interact"].append((a, k)))
    return calls


@pytest.mark.parametrize("live", [True, False])
def test_a_control_is_live_or_one_picture(drawn, monkeypatch, live: bool):
    if live:
        monkeypatch.delenv("BOOK_STATIC", raising=False)
    else:
        monkeypatch.setenv("BOOK_STATIC", "1")

    def draw(z: float, k: int) -> None:
        drawn["draw"].append((z, k))

    explore(draw, {"k": 3, "z": 0.5}, z=(-2.0, 2.0), k=[1, 3])
    interact = [((draw,), {"z": (-2.0, 2.0), "k": [1, 3]})]
    assert drawn == (
        {"draw": [], "interact": interact} if live else {"draw": [(0.5, 3)], "interact": []}
    )


@pytest.mark.parametrize("static", [{}, {"z": 1, "k": 2}, {"k": 1}])
@pytest.mark.parametrize("live", [True, False])
def test_a_control_without_its_picture_is_named(drawn, monkeypatch, static: dict, live: bool):
    monkeypatch.setenv("BOOK_STATIC", "1")
    if live:
        monkeypatch.delenv("BOOK_STATIC")
    with pytest.raises(ValueError, match=r"static names \[.*\], but the controls \['z'\]"):
        explore(lambda **k: drawn["draw"].append(k), static, z=(0, 1))
    assert drawn == {"draw": [], "interact": []}


def test_live_controls_are_those_of_ipywidgets(monkeypatch):
    """Through ipywidgets itself: a control moves, and the picture is drawn again."""
    monkeypatch.delenv("BOOK_STATIC", raising=False)
    slider, drawn = ipywidgets.IntSlider(value=1, max=5), []
    explore(lambda k: drawn.append(k), {"k": 1}, k=slider)
    slider.value = 4
    assert drawn == [1, 4]


# ---------------------------------------------------------------- check


@pytest.mark.parametrize(
    ("value", "bars", "line"),
    [
        (2e-7, {"at_most": 1e-5}, "✓ error: 2e-07 (at most 1e-05)"),
        (0.98765, {"at_least": 0.98}, "✓ error: 0.9877 (at least 0.98)"),
        (1, {"at_least": 0.9, "at_most": 1.1}, "✓ error: 1 (0.9 to 1.1)"),
        (torch.tensor(0.5), {"at_least": 0.5}, "✓ error: 0.5 (at least 0.5)"),  # a bar may be met
        (math.inf, {"at_least": 30}, "✓ error: inf (at least 30)"),
    ],
)
def test_a_good_value_prints_one_line(capsys, value: float, bars: dict, line: str):
    check("error", value, **bars)
    assert capsys.readouterr().out == line + "\n"


@pytest.mark.parametrize(
    ("value", "bars", "message"),
    [
        (2, {"at_most": 1}, "error is 2, but should be at most 1."),
        (0.9, {"at_least": 0.98}, "error is 0.9, but should be at least 0.98."),
        (3, {"at_least": 1, "at_most": 2}, "error is 3, but should be 1 to 2."),
        (0, {"at_least": 1, "at_most": 2}, "error is 0, but should be 1 to 2."),
        (math.nan, {"at_most": 1}, "error is nan, but should be at most 1."),
        (math.nan, {"at_least": 1}, "error is nan, but should be at least 1."),
        (math.inf, {"at_most": 1}, "error is inf, but should be at most 1."),
    ],
)
def test_a_bad_value_is_an_error_and_prints_nothing(capsys, value, bars, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        check("error", value, **bars)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        ({}, "needs at_least, at_most or both"),
        ({"at_least": 2, "at_most": 1}, "at_least=2 is above at_most=1"),
        ({"at_least": math.nan}, "at_least=nan is above"),
        ({"at_most": math.nan}, "above at_most=nan"),
    ],
)
def test_bars_that_say_nothing(bars: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check("error", 1, **bars)


bars = st.integers(1, 9999).map(lambda digits: digits / 1000)


@few
@given(value=st.floats(0, 10), low=bars, high=bars)
def test_what_is_printed_obeys_the_printed_bar(value: float, low: float, high: float):
    """Rounding must not make a stored line contradict itself: test_notebooks.py would stumble."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            check("x", value, at_least=low, at_most=high)
    except (AssertionError, ValueError):
        assert not low <= value <= high
        return
    printed = re.fullmatch(r"✓ x: (\S+) \((\S+) to (\S+)\)\n", out.getvalue())
    shown_value, shown_low, shown_high = map(float, printed.groups())
    assert shown_low <= shown_value <= shown_high


# ---------------------------------------------------------------- pictures by name


def test_named_pictures_stand_under_their_names(shown):
    wide, colour = torch.rand(1, 1, 10, 30), torch.rand(3, 20, 20) * 3 - 1
    figures.show_named({"wide": wide, "two\nlines": colour, "last": wide}, columns=2)
    axes = shown[0].axes
    assert [ax.get_title() for ax in axes] == ["wide", "two\nlines", "last", ""]
    assert [len(ax.images) for ax in axes] == [1, 1, 1, 0]
    assert not any(ax.axison for ax in axes)
    np.testing.assert_allclose(axes[0].images[0].get_array(), wide[0, 0])
    np.testing.assert_allclose(
        axes[1].images[0].get_array(), colour.clamp(0, 1).permute(1, 2, 0), atol=1e-6
    )
    assert all(ax.images[0].get_clim() == (0, 1) for ax in axes[:3])


# ---------------------------------------------------------------- live source


def doubled(x: int) -> int:
    """Documentation that a reader of the chapter does not need twice."""
    return 2 * x  # twice


class Thing:
    """Documentation."""

    def method(self) -> str:
        """More of it."""
        return "kept"


def test_the_live_source_is_shown_without_docstrings(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(source, "display", lambda shown: seen.append(shown.data))
    source.show_source(functools.wraps(doubled)(lambda x: doubled(x)), Thing)
    assert seen == [
        "```python\ndef doubled(x: int) -> int:\n    return 2 * x  # twice\n```",
        '```python\nclass Thing:\n    def method(self) -> str:\n        return "kept"\n```',
    ]
