"""tools/execute.py stores outputs when every cell succeeds, and changes nothing when one fails."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import execute
import nbformat.v4 as v4
import numpy as np
import pytest
from nbsource import read
from PIL import Image

PLOT = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *sources: str, option: str = "") -> int:
    """Runs a notebook of these cells as the command line does; its exit code."""
    path = folder / "one.ipynb"
    cells = [v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    path.write_text(execute.dumps(v4.new_notebook(cells=cells)), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["execute.py", str(path), *option.split()])
    return execute.main()


def test_outputs_are_stored_in_the_common_form(monkeypatch, tmp_path, capsys):
    cells = [
        "import os\nfrom pathlib import Path\nos.environ['BOOK_STATIC'], Path.cwd().name",
        "",
        "from tqdm import tqdm\nfor _ in tqdm(range(3), leave=False): pass\nprint('done')",
        PLOT,
    ]
    assert run(monkeypatch, tmp_path, *cells) == 0
    nb = read(tmp_path / "one.ipynb")
    assert [cell.execution_count for cell in nb.cells] == [1, None, 2, 3]
    assert nb.cells[0].outputs[0].data["text/plain"] == f"('1', {tmp_path.name!r})"
    assert [output.get("text") for output in nb.cells[2].outputs] == ["done\n"]
    assert list(nb.cells[3].outputs[0].data) == ["image/png", "text/plain"]
    assert execute.is_normalised(tmp_path / "one.ipynb")
    assert "one   3/3  import matplotlib.pyplot as plt" in capsys.readouterr().out


def test_a_failing_cell_leaves_the_file_as_it_was(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, tmp_path, "print(1)", "1 / 0", "print(3)") == 1
    assert all(cell.execution_count is None for cell in read(tmp_path / "one.ipynb").cells)
    assert [file.name for file in tmp_path.iterdir()] == ["one.ipynb"]
    said = capsys.readouterr().err
    assert "code cell 2 failed" in said
    assert "ZeroDivisionError" in said


def test_a_dead_kernel_leaves_the_file_as_it_was(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, tmp_path, "import os; os._exit(1)") == 1
    assert "code cell 1 failed" in capsys.readouterr().err


def test_check_and_normalise_run_nothing(monkeypatch, tmp_path):
    assert run(monkeypatch, tmp_path, "1 / 0", option="--check") == 1
    assert run(monkeypatch, tmp_path, "1 / 0", option="--normalise-only") == 0
    assert execute.is_normalised(tmp_path / "one.ipynb")


def test_an_unknown_name_is_answered_with_the_known_ones(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["execute.py", "99_nothing"])
    assert execute.main() == 1
    assert "no notebook called '99_nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_smaller_png_has_the_same_pixels(channels):
    pixels = np.linspace(0, 255, 40 * 50 * channels).astype(np.uint8).reshape(40, 50, channels)
    pixels[..., 3:] = 255
    grey = channels == 1
    image = Image.fromarray(pixels.repeat(3, axis=2) if grey else pixels)
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    text = base64.b64encode(held.getvalue()).decode()
    smaller = execute.smaller_png(text)
    assert len(smaller) < len(text)
    again = Image.open(io.BytesIO(base64.b64decode(smaller)))
    assert again.mode == ("L" if grey else "RGB")
    np.testing.assert_array_equal(np.array(again.convert("RGB")), np.array(image.convert("RGB")))


def test_peak_memory_is_known_of_a_running_process_only():
    held = bytearray(50_000_000)
    assert len(held) < execute.peak_memory(os.getpid()) < 100e9
    assert execute.peak_memory(2**31 - 1) is None
    assert execute.peak_memory(None) is None


def test_tidying_twice_changes_nothing_more():
    said = [("stdout", "a"), ("stderr", " 50%\r"), ("stdout", "b\n"), ("stdout", "1%\rc\n")]
    outputs = [v4.new_output("stream", name=name, text=text) for name, text in said]
    control = {"application/vnd.jupyter.widget-view+json": {"id": 1}, "text/plain": "Slider()"}
    outputs.insert(2, v4.new_output("display_data", control))
    nb = v4.new_notebook(cells=[v4.new_code_cell("f()", outputs=outputs)])
    once = execute.dumps(execute.normalise(nb))
    assert [output.text for output in nb.cells[0].outputs] == ["ab\nc\n"]
    assert execute.dumps(execute.normalise(nb)) == once
