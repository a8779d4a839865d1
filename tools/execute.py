"""Runs notebooks in place, and keeps the stored form of every notebook the same.

    python tools/execute.py [NAME ...]           run these (or all) and store their outputs
    python tools/execute.py --normalise-only     only tidy the stored form
    python tools/execute.py --check              only say whether the stored form is tidy

A notebook runs in a fresh kernel of this very interpreter, in its own folder, with BOOK_STATIC=1,
so that a static picture is stored in place of a live control. Its file changes only when every
cell has succeeded.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from nbformat.corpus.words import generate_corpus_id
from nbsource import find, paths, read
from PIL import Image

KEPT_METADATA = ("book", "mystnb")
PASSING_METADATA = ("execution", "ExecuteTime", "collapsed", "scrolled", "colab", "outputId", "id")
WIDGETS = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs notebooks in place.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 03_gan; all if left out")
    parser.add_argument("--normalise-only", action="store_true", help="tidy the form, run nothing")
    parser.add_argument("--check", action="store_true", help="only say whether the form is tidy")
    arguments = parser.parse_args()
    try:
        chosen = [find(name) for name in arguments.names] or paths()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.check:
        untidy = [path for path in chosen if not is_normalised(path)]
        for path in untidy:
            print(f"{path.name}: tidy it with tools/execute.py --normalise-only {path.stem}")
        return int(bool(untidy))
    for path in chosen:
        nb = read(path)
        if not arguments.normalise_only and not execute(nb, path):
            return 1
        write(nb, path)
    return 0


def execute(nb: NotebookNode, path: Path) -> bool:
    """Runs every cell of `nb`, one line of progress each; False, its reason printed, on failure."""
    os.environ["BOOK_STATIC"] = "1"  # the kernel inherits it
    # No kernel folder: a "python3" that the user has registered elsewhere must not win.
    specs = KernelSpecManager(kernel_dirs=[])
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    client = NotebookClient(
        nb, km=kernel, timeout=None, resources={"metadata": {"path": str(path.parent)}}
    )
    written = [cell.cell_type == "code" and cell.source.strip() for cell in nb.cells]
    cells = [(index, cell) for index, cell in enumerate(nb.cells) if written[index]]
    start, peak = time.perf_counter(), None
    with client.setup_kernel(cleanup_kc=True, stderr=subprocess.DEVNULL):
        for number, (index, cell) in enumerate(cells, 1):
            first_line = cell.source.strip().splitlines()[0]
            print(f"{path.stem} {number:3}/{len(cells)}  {first_line[:64]:64}", end=" ", flush=True)
            cell_start = time.perf_counter()
            try:
                client.execute_cell(cell, index, execution_count=number)
            except (CellExecutionError, DeadKernelError) as error:
                print("failed", flush=True)
                print(f"\n{path}: code cell {number} failed:\n\n{cell.source}\n", file=sys.stderr)
                print(f"{error}\nThe file was not changed.", file=sys.stderr)
                return False
            print(f"{time.perf_counter() - cell_start:6.1f} s", flush=True)
            peak = peak_memory(kernel.provisioner.pid) or peak
    for data in (output.data for _, cell in cells for output in cell.outputs if "data" in output):
        if "image/png" in data:
            data["image/png"] = smaller_png(data["image/png"])
    print(
        f"{path.stem}: {time.perf_counter() - start:.1f} s, {(peak or 0) / 1e9:.2f} GB at its peak"
    )
    return True


def peak_memory(pid: int | None) -> int | None:
    """The most bytes that a running process has held; where only Linux and Windows know that,
    what it holds now; None when it has ended."""
    try:
        if sys.platform == "linux":
            status = Path(f"/proc/{pid}/status").read_text()
            return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
        memory = psutil.Process(pid).memory_info()
        return getattr(memory, "peak_wset", memory.rss)
    except (OSError, TypeError, psutil.Error):
        return None


def smaller_png(text: str) -> str:
    """The same pixels in fewer bytes: no opaque alpha, one channel for greys."""
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    if image.mode == "RGB":
        red, green, blue = (band.tobytes() for band in image.split())
        if red == green == blue:
            image = image.getchannel("R")
    best = io.BytesIO()
    image.save(best, "PNG", optimize=True)
    return min(base64.b64encode(best.getvalue()).decode(), text, key=len)


def normalise(nb: NotebookNode) -> NotebookNode:
    """Brings `nb` into the one stored form (in place): nothing that changes from run to run without
    meaning, or from editor to editor. Execution counts and errors stay: they tell of the run."""
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = NotebookNode(
        {key: nb.metadata[key] for key in KEPT_METADATA if key in nb.metadata},
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for cell in nb.cells:
        cell.setdefault("id", generate_corpus_id())
        for key in PASSING_METADATA:
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        cell.source = cell.source.strip("\n")
        if cell.cell_type == "code":
            cell.outputs = _normal_outputs(cell.outputs)
    return nb


def _normal_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    kept = []
    for output in outputs:
        output.pop("transient", None)
        if any(kind in output.get("data", {}) for kind in WIDGETS):
            for kind in (*WIDGETS, "text/plain"):  # the text only names the control
                output.data.pop(kind, None)
        if output.get("data", True):
            kept.append(output)
    for output in (kept := _merged(kept)):
        if output.output_type == "stream" and "\r" in output.text:
            # As on a terminal: what is written after a carriage return replaces what stood before.
            # A progress bar that was cleared leaves blanks, and those are nothing.
            output.text = re.sub(r"(?m)^.*\r(?!\n)", "", output.text.replace("\r\n", "\n"))
            output.text = output.text if output.text.strip() else ""
    return _merged([output for output in kept if output.get("text", True)])


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs, with what one stream said piece by piece in one piece."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if kept and output.output_type == "stream" and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def dumps(nb: NotebookNode) -> str:
    """The exact text of the file that stores `nb`."""
    return nbformat.writes(nb, indent=1, ensure_ascii=False).rstrip("\n") + "\n"


def is_normalised(path: Path) -> bool:
    """Whether the file already has the one stored form."""
    return path.read_text(encoding="utf-8") == dumps(normalise(read(path)))


def write(nb: NotebookNode, path: Path) -> None:
    """Writes the notebook in the stored form; the old file stays whole until the new one is."""
    text = dumps(normalise(nb))
    nbformat.validate(nb)
    new = path.with_suffix(".ipynb.new")
    new.write_text(text, encoding="utf-8", newline="\n")
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main())
