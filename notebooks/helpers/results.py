"""Rows of the book's one results table.

A row travels in the stored output of the cell that made it; the results page is generated from
those outputs, so no second file can drift from them.
"""

import json
import math
from datetime import date
from html import escape

import torch
from IPython.display import display

from .training import WEIGHTS

MIME = "application/vnd.igr.result+json"
NBSP = "\u00a0"  # keeps a unit with its number
FAMILIES = ("reference", "classical", "deep", "physics")


def record(
    *,
    task: str,
    method: str,
    family: str,
    data: str,
    protocol: str,
    metric: str,
    score: float,
    better: str,
    anchor: str,
    unit: str = "",
    seconds: float | None = None,
    parameters: int | None = None,
    published: str | None = None,
    more: dict[str, float] | None = None,
) -> None:
    """Show one result and leave it in the cell's output, where the results page finds it.

    Args:
        task: what is being done; rows of one task form one table.
        method: who does it.
        family: "reference" (real data, noise), "classical", "deep" or "physics".
        data: what it was trained and tested on.
        protocol: how the score was taken, in one sentence.
        metric, score, better, unit: the main number; `better` is "higher" or "lower".
        anchor: label of the section of the notebook that the row links to.
        seconds: training or solving time, measured.
        parameters: learned numbers.
        published: a figure from the literature with its citation key, if one compares.
        more: further numbers by name.

    Raises:
        ValueError: unknown family or direction, or a number that is not finite.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}.")
    if better not in ("higher", "lower"):
        raise ValueError(f"better must be 'higher' or 'lower', got {better!r}.")
    for name, value in [("score", score), ("seconds", seconds), *(more or {}).items()]:
        if value is not None and not math.isfinite(value):
            raise ValueError(f"The {name} of {method!r} is {value}: only finite numbers are kept.")
    row = {
        "task": task, "method": method, "family": family, "data": data, "protocol": protocol,
        "metric": metric, "better": better, "score": _round(score), "unit": unit,
        "seconds": _round(seconds), "parameters": parameters, "published": published,
        "anchor": anchor, "more": {name: _round(value) for name, value in (more or {}).items()},
    }  # fmt: skip
    display({MIME: row, **shown(row)}, raw=True)


def shown(row: dict) -> dict[str, str]:
    """Return a row as readers of the notebook see it, in HTML and in plain text."""
    parts = [f"{row['metric']}: {row['score']:g}{row['unit'] and NBSP + row['unit']}"]
    parts += [f"{name}: {value:g}" for name, value in row["more"].items()]
    if (seconds := row["seconds"]) is not None:  # more than three digits no clock repeats
        parts.append(f"{seconds:{'.0f' if seconds >= 100 else '.3g'}}{NBSP}s")
    method, numbers = row["method"], "; ".join(parts)
    inside = f"<strong>{escape(method)}</strong> <span>{escape(numbers)}</span>"
    return {
        "text/html": f'<div class="result-row">{inside} <em>{escape(row["task"])}</em></div>',
        "text/plain": f"{method}: {numbers}",
    }


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{float(value):.4g}")


def record_gpu(notebook: str, run: str, **measured: float) -> None:
    """Keep what a full-scale run measured, with device, date and version, for readers without one.

    Args:
        notebook: such as "03_gan".
        run: name of the run in that notebook; an older record of the same name is replaced.
        measured: numbers by name, such as seconds and images_per_second.
    """
    file = WEIGHTS / "gpu" / f"{notebook}.json"
    file.parent.mkdir(exist_ok=True)
    runs = json.loads(file.read_text("utf-8")) if file.exists() else {}
    runs[run] = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        **{name: _round(value) for name, value in measured.items()},
    }
    file.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")


def show_gpu(notebook: str) -> None:
    """Print the recorded full-scale runs of a notebook, or say that there are none."""
    file = WEIGHTS / "gpu" / f"{notebook}.json"
    if not file.exists():
        print("No GPU run of this chapter is recorded yet.")
        return
    for run, measured in json.loads(file.read_text("utf-8")).items():
        print(f"{run}: {', '.join(f'{name} {value}' for name, value in measured.items())}")
