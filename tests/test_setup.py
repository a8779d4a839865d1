"""helpers.setup: the same numbers every time, and a clear word where a setting is wrong."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers.figures import COLOURS
from helpers.setup import setup


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads and figure style are the process's: other tests get them as they were."""
    for name in ("BOOK_THREADS", "BOOK_GPU_SCALE"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    with plt.rc_context():
        yield
    torch.set_num_threads(threads)


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_random_numbers_repeat(seed: int):
    assert setup(seed).seed == seed
    first = draw()
    assert draw() != first
    setup(seed)
    assert draw() == first
    setup(seed - 1 if seed else 1)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 1.0, "0", None])
def test_a_bad_seed_is_named(seed: object):
    with pytest.raises(ValueError, match="seed must be an integer of at least 0, got "):
        setup(seed)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set(monkeypatch, threads: int):
    monkeypatch.setenv("BOOK_THREADS", str(threads))
    assert setup().threads == threads
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("empty", [True, False])
def test_threads_stay_as_they_are_where_nothing_is_said(monkeypatch, empty: bool):
    if empty:
        monkeypatch.setenv("BOOK_THREADS", "")
    torch.set_num_threads(2)
    assert setup().threads == torch.get_num_threads() == 2


@pytest.mark.parametrize("threads", ["0", "-1", "1.5", "two", " ", "²"])
def test_bad_threads_are_named(monkeypatch, threads: str):
    monkeypatch.setenv("BOOK_THREADS", threads)
    before = torch.get_num_threads()
    with pytest.raises(
        ValueError, match=f"BOOK_THREADS must be a positive integer, got '{threads}'"
    ):
        setup()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("cuda", "scale", "device", "gpu_scale"),
    [
        (False, None, "cpu", False),
        (False, "1", "cpu", False),  # no wish makes a GPU
        (True, None, "cuda", True),
        (True, "1", "cuda", True),
        (True, "0", "cuda", False),
    ],
)
def test_gpu_scale(monkeypatch, cuda: bool, scale: str | None, device: str, gpu_scale: bool):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    if scale is not None:
        monkeypatch.setenv("BOOK_GPU_SCALE", scale)
    env = setup()
    assert env.device.type == device
    assert env.gpu_scale is gpu_scale


@pytest.mark.parametrize("colab", [True, False])
def test_colab_is_seen(monkeypatch, colab: bool):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", object())
    assert setup().colab is colab


def test_figures_have_the_book_s_style():
    plt.rcParams["image.cmap"] = "viridis"
    setup()
    assert plt.rcParams["image.cmap"] == "gray"
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"] == list(COLOURS)
