"""The picture of all methods: who is compared with whom, where each stands, and what is told."""

from __future__ import annotations

import re

import pytest
from igr import whole


def row(method: str, score: float, **changes) -> dict:
    return {
        "task": "Denoising", "method": method, "family": "classical", "data": "d", "protocol": "p",
        "metric": "PSNR", "better": "higher", "score": score, "unit": "dB", "seconds": 2.0,
        "parameters": None, "published": None, "anchor": "a", "more": {}, **changes,
    }  # fmt: skip


ROWS = [
    row("noisy", 10, family="reference"),
    row("blur", 20, seconds=0.01),
    row("TV", 25),
    row("network", 30, family="deep", seconds=300, parameters=1000),
    row("GAN & co", 3, task="Generation", better="lower", family="deep", seconds=None),
    row("Gaussian", 300, task="Generation", better="lower"),
    row("mixture", 30, task="Generation", better="lower", family="physics"),
]


def qualities(rows: list[dict]) -> dict[str, float]:
    return {m.row["method"]: m.quality for m in whole.placed(rows)}


def test_quality_runs_from_the_weakest_to_the_best_of_a_task():
    found = qualities(ROWS)
    wanted = {"blur": 0, "TV": 0.5, "network": 1}
    wanted |= {"Gaussian": 0, "mixture": 0.5, "GAN & co": 1}  # by the logarithm
    assert found == pytest.approx(wanted)


def test_references_and_the_incomparable_stay_out():
    assert "noisy" not in qualities(ROWS)
    assert qualities([row("alone", 5)]) == {}
    assert qualities([row("a", 5), row("b", 5)]) == {}, "equal scores rank nobody"
    for field in ("task", "metric", "protocol"):
        assert qualities([row("a", 5), row("b", 6, **{field: "other"})]) == {}


def test_a_score_below_zero_is_compared_as_it_is():
    found = qualities([row("a", -1), row("b", 0), row("c", 99)])
    assert found["b"] == pytest.approx(0.01)


def test_the_picture_holds_each_method_twice_and_says_its_name():
    svg = whole.picture(whole.placed(ROWS))
    titles = re.findall(r"<title>([^<]+): ([^,<]+),", svg)
    assert sorted(titles) == sorted(
        2 * [(r["task"], r["method"].replace("&", "&amp;")) for r in ROWS[1:]]
    )
    for family, shape in (("classical", "rect"), ("deep", "circle"), ("physics", "polygon")):
        drawn = sum(r["family"] == family for r in ROWS)
        assert svg.count(f'<{shape} class="{family}"') == 2 * drawn
        assert svg.count(f'<span class="{family}"') == 1
    assert 'role="img"' in svg
    assert "deep: 2 methods" in svg
    assert "not timed" in svg


def test_better_is_higher_up_and_slower_further_right():
    svg = whole.picture(whole.placed(ROWS))
    at = {
        name: (float(x), float(y))
        for x, y, name in re.findall(
            r'<rect class="classical" x="([\d.]+)" y="([\d.]+)"[^>]*><title>Denoising: (\w+)', svg
        )[:2]
    }
    assert at["TV"][1] < at["blur"][1]
    assert at["TV"][0] > at["blur"][0]


def test_nothing_to_show_is_no_picture():
    assert whole.picture([]) == ""
    assert whole.picture(whole.placed([row("a", 1, seconds=None), row("b", 2, seconds=0)])) == ""


def test_long_names_are_cut_to_the_width():
    heading = whole._heading("x" * 70, "a very long name of a method", 0)
    assert "best: a very long na…" in heading
    assert whole._heading("Denoising", "TV", 0).count("…") == 0


def test_the_table_counts_by_family():
    table = whole.by_family(whole.placed(ROWS))
    parts = table.split("* -")[2:]
    shown = {part.split("\n")[0].strip(): re.findall(r"- (.*)", part) for part in parts}
    assert "of 2" in table
    assert shown["classical"] == ["3", "0", "0.00", "2", whole.NONE]
    assert shown["deep"] == ["2", "2", "1.00", "300", "1,000"]
    assert shown["physics"] == ["1", "0", "0.50", "2", whole.NONE]
