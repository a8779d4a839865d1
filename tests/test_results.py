"""helpers.results: one output with one row that the results page can read, or a clear refusal."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from helpers import results

ROW = {
    "task": "Generation of digits", "method": "DCGAN", "family": "deep", "data": "MNIST",
    "protocol": "1,000 samples.", "metric": "Frechet distance", "better": "lower", "score": 17.3,
    "unit": "px", "seconds": 61.2, "parameters": 123456, "published": "16.1 [@key]",
    "anchor": "gan-comparison", "more": {"recall": 0.51},
}  # fmt: skip


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The outputs that the cell would store."""
    outputs: list[dict] = []

    def display(bundle: dict, *, raw: bool = False) -> None:
        assert raw  # else the bundle itself would be printed
        outputs.append(bundle)

    monkeypatch.setattr(results, "display", display)
    return outputs


def test_the_row_has_the_fields_of_the_contract(shown: list[dict]):
    results.record(**ROW)
    (bundle,) = shown
    assert bundle.keys() == {"application/vnd.igr.result+json", "text/html", "text/plain"}
    assert bundle[results.MIME] == ROW
    assert list(bundle[results.MIME]) == list(ROW)
    told = "DCGAN: Frechet distance: 17.3 px; recall: 0.51; 61.2 s"
    assert bundle["text/plain"].replace(results.NBSP, " ") == told


def test_what_is_not_given_is_said_to_be_absent(shown: list[dict]):
    absent = {"unit": "", "seconds": None, "parameters": None, "published": None, "more": {}}
    results.record(**{name: ROW[name] for name in ROW.keys() - absent.keys()})
    assert shown[0][results.MIME] == ROW | absent
    assert shown[0]["text/plain"] == "DCGAN: Frechet distance: 17.3"


@pytest.mark.parametrize("number", [np.float32, np.float64, torch.tensor])
def test_numbers_are_stored_to_four_digits_as_plain_json(shown: list[dict], number: type):
    more = {"recall": number(1 / 3)}
    results.record(**ROW | {"score": number(12.34567), "seconds": number(1234.56), "more": more})
    row = json.loads(json.dumps(shown[0][results.MIME], allow_nan=False))
    assert (row["score"], row["seconds"], row["more"]) == (12.35, 1235, {"recall": 0.3333})


def test_text_cannot_break_the_page(shown: list[dict]):
    results.record(**ROW | {"method": "<b>A & B</b>", "more": {'"x"<y>': 1}})
    inside = re.fullmatch(r'<div class="result-row">(.*)</div>', shown[0]["text/html"])[1]
    assert inside.startswith("<strong>&lt;b&gt;A &amp; B&lt;/b&gt;</strong> <span>Frechet")
    assert "&quot;x&quot;&lt;y&gt;: 1;" in inside
    assert shown[0]["text/plain"].startswith("<b>A & B</b>: ")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"family": "magic"}, "family must be one of reference, classical, deep, physics, got 'ma"),
        ({"better": "bigger"}, "better must be 'higher' or 'lower', got 'bigger'"),
        ({"score": math.nan}, "The score of 'DCGAN' is nan: only finite"),
        ({"score": torch.tensor(math.inf)}, "The score of 'DCGAN' is inf"),
        ({"seconds": -math.inf}, "The seconds of 'DCGAN' is -inf"),
        ({"more": {"recall": math.nan}}, "The recall of 'DCGAN' is nan"),
    ],
)
def test_a_wrong_row_is_refused(shown: list[dict], fault: dict, message: str):
    with pytest.raises(ValueError, match=message):
        results.record(**ROW | fault)
    assert not shown


def test_more_cannot_hide_the_score(shown: list[dict]):
    with pytest.raises(ValueError, match="score"):
        results.record(**ROW | {"score": math.nan, "more": {"score": 1.0}})
    assert not shown


def test_gpu_runs_are_shown_as_they_were_recorded(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(results, "WEIGHTS", tmp_path)
    results.show_gpu("03_gan")
    assert capsys.readouterr().out == "No GPU run of this chapter is recorded yet.\n"
    results.record_gpu("03_gan", "full MNIST", seconds=1.0)
    results.record_gpu("03_gan", "64x64", seconds=torch.tensor(7.25))
    results.record_gpu("03_gan", "full MNIST", seconds=2.0, images_per_second=123456.0)
    results.show_gpu("03_gan")
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"full MNIST: .*date \d{4}-.*seconds 2\.0, images_per_second 123500\.0", first
    )
    assert second.startswith("64x64: device ")
    assert second.endswith("seconds 7.25")
    results.show_gpu("04_vae")  # another chapter's runs are not this one's
    assert capsys.readouterr().out.startswith("No GPU run")
