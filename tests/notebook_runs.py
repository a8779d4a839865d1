"""How pytest runs the notebooks: their kernels' environment, and what each of them cost.

pyproject.toml loads this as a plugin. Beside it, nbval runs the cells and compares the outputs.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterator

import pytest
from execute import peak_memory
from nbsource import ROOT, paths, read
from nbval.plugin import IPyNbCell

MEMORY_SLACK = 1.25  # a kernel may hold this times the memory that its notebook states
COSTS: dict[str, dict[str, float]] = defaultdict(lambda: {"seconds": 0.0, "peak": 0.0})


def pytest_configure(config: pytest.Config) -> None:
    if not sys.stdout.isatty():
        config.option.color = "no"  # nbval asks for nothing else before it colours a log
    config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    worker = getattr(config, "workerinput", None)
    if worker is None and config.getoption("numprocesses"):
        return  # this process only hands the work out
    workers = worker["workercount"] if worker else 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Each worker has its share of the cores. Where there are fewer notebooks than workers, a
    # notebook's PyTorch takes what would else lie idle once the short tests are through.
    kernels = min(workers, len(paths()) or 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // workers)))
    os.environ.setdefault("BOOK_THREADS", str(max(1, cores // kernels)))
    os.environ["BOOK_STATIC"] = "1"  # static pictures in place of live controls
    # The stored outputs are those of a machine without a GPU; name a device to test on it.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Notes the kernel's peak memory after each cell (pytest-xdist brings the note home), and fails
    the cell in which it outgrows what the notebook states."""
    try:
        result = yield
    finally:
        manager = getattr(getattr(getattr(item, "parent", None), "kernel", None), "km", None)
        peak = peak_memory(manager.provisioner.pid) if manager and manager.provisioner else None
        if peak:
            item.user_properties.append(("peak", peak))
    if peak and isinstance(item, IPyNbCell):
        stated = item.parent.nb.metadata.get("book", {}).get("memory_gb")
        if stated and peak > MEMORY_SLACK * stated * 1e9:
            pytest.fail(f"{peak / 1e9:.2f} GB of memory; the notebook states {stated} GB")
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    file = report.nodeid.split("::")[0]
    if file.endswith(".ipynb"):
        COSTS[file]["seconds"] += report.duration
        peak = dict(report.user_properties).get("peak", 0)
        COSTS[file]["peak"] = max(COSTS[file]["peak"], peak)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not COSTS:
        return
    terminalreporter.section("what each notebook cost, here and as it states")
    terminalreporter.line(
        f"{'notebook':40}{'seconds':>10}{'stated':>8}{'peak GB':>10}{'stated':>8}"
    )
    for file, cost in sorted(COSTS.items()):
        path = ROOT / file
        stated = read(path).metadata.get("book", {}) if path.is_file() else {}
        peak = f"{cost['peak'] / 1e9:.2f}" if cost["peak"] else "unknown"
        terminalreporter.line(
            f"{file:40}{cost['seconds']:10.1f}{stated.get('seconds', '-'):>8}"
            f"{peak:>10}{stated.get('memory_gb', '-'):>8}"
        )
