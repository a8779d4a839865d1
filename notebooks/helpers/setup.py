"""One call at the top of every notebook: seed, device, threads, and whether to run at GPU scale."""

import os
import random
import sys
from dataclasses import dataclass

import numpy as np
import torch

from . import figures


@dataclass(frozen=True)
class Environment:
    """Where a notebook runs.

    Attributes:
        seed: the seed that every generator was given.
        device: "cuda" where PyTorch sees a GPU, else "cpu".
        threads: CPU threads that PyTorch may use.
        colab: whether the kernel runs inside Google Colab.
        gpu_scale: whether the GPU part of a chapter should run here.
    """

    seed: int
    device: torch.device
    threads: int
    colab: bool
    gpu_scale: bool


def setup(seed: int = 0) -> Environment:
    """Make a notebook repeatable and say where it runs.

    Seeds Python, NumPy and PyTorch. `BOOK_THREADS=n` sets the CPU threads (two notebooks that run
    side by side on two cores should have one each); `BOOK_GPU_SCALE=0` keeps a machine with a GPU
    to the CPU-sized experiments.

    Raises:
        ValueError: `seed` is negative or not an integer, or `BOOK_THREADS` is not a positive one.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, got {seed!r}.")
    threads = os.environ.get("BOOK_THREADS", "") or str(torch.get_num_threads())
    if not threads.isdecimal() or int(threads) < 1:
        raise ValueError(f"BOOK_THREADS must be a positive integer, got {threads!r}.")
    torch.set_num_threads(int(threads))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    figures.use_style()
    cuda = torch.cuda.is_available()
    return Environment(
        seed=seed,
        device=torch.device("cuda" if cuda else "cpu"),
        threads=int(threads),
        colab="google.colab" in sys.modules,
        gpu_scale=cuda and os.environ.get("BOOK_GPU_SCALE", "1") != "0",
    )
