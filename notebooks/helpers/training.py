"""A training loop that counts steps, shows progress, and loses nothing when it is stopped."""

import contextlib
import json
import math
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

WEIGHTS = Path(__file__).parent.parent / "weights"
DIVERGED = "Lower the learning rate, or look for a division or a logarithm that meets zero."


@dataclass
class History:
    """What a training run reported.

    Attributes:
        step: the steps (counted from 0) at which values were kept.
        values: name -> one float for each of those steps.
        seconds: time spent in steps, over all the sessions of a resumed run.
    """

    step: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0


def train(
    step: Callable[[int], Mapping[str, torch.Tensor | float]],
    steps: int,
    *,
    title: str = "training",
    state: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    every: int = 500,
    keep: int = 10,
) -> History:
    """Call `step(0)`, ..., `step(steps - 1)`; each makes one update and returns what it measured.

    A run is counted in steps and not in seconds, so a busy machine is slower but never worse.

    Args:
        step: one update; gets its number, returns name -> scalar.
        steps: how many.
        title: what the progress bar says.
        state: name -> whatever has `state_dict` (modules, optimisers): what a checkpoint holds.
        checkpoint: file to save `state` in and to resume from; written whole or not at all.
        every: steps between checkpoints. An interrupt (Ctrl-C, or a notebook's stop button) waits
            for the end of its step and saves one too; an error costs the steps since the last.
        keep: steps between values that are kept in the history.

    Returns:
        The history. A checkpoint that has reached `steps` is restored without training. A resumed
        run ends bit for bit where an uninterrupted one does, if `state` holds all that changes and
        every random number comes from PyTorch's global generators.

    Raises:
        FloatingPointError: a value to be kept or a parameter to be saved is NaN or infinite.
        ValueError: bad counts, or a checkpoint that does not fit `state`.
        OSError: a checkpoint that cannot be read.
    """
    if steps < 1 or every < 1 or keep < 1:
        raise ValueError(f"steps, every and keep must be positive, got {steps}, {every}, {keep}.")
    if checkpoint is not None and not state:
        raise ValueError("A checkpoint needs `state`: the modules and optimisers to save.")
    history, start = History(), 0
    if checkpoint is not None and checkpoint.exists():
        start, history = _resume(checkpoint, state, steps)
    bar = tqdm(
        range(start, steps), initial=start, total=steps, desc=title, leave=False,
        disable="BOOK_STATIC" in os.environ, file=sys.stdout,
    )  # fmt: skip
    began = time.perf_counter() - history.seconds
    with _interrupts_held() as interrupts:
        for i in bar:
            report = step(i)
            history.seconds = time.perf_counter() - began
            last = i + 1 == steps
            keeps = last or i % keep == 0
            saves = checkpoint is not None and (last or interrupts or (i + 1) % every == 0)
            if keeps or saves:
                values = _finite(report, i)
            if keeps:
                history.step.append(i)
                for name, value in values.items():
                    history.values.setdefault(name, []).append(value)
            if saves:
                _save(checkpoint, i + 1, history, state)
            if interrupts:
                raise KeyboardInterrupt
    return history


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step of an optimiser down the gradient of a scalar `loss`."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def learn(
    network: nn.Module,
    loss: Callable[[], torch.Tensor],
    steps: int,
    lr: float = 3e-3,
    checkpoint: Path | None = None,
) -> History:
    """Adam down `loss()`, drawn anew in each step; the rate rises, then falls to 0.

    Args:
        network: changed in place.
        loss: draws a batch and gives a scalar that depends on the network.
        steps: how many.
        lr: the highest rate, reached after a tenth of the steps.
        checkpoint: as in `train`, which also says what is returned and raised.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps, pct_start=0.1)

    def step(_: int) -> dict[str, torch.Tensor]:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)  # it seldom has to
        optimizer.step()
        schedule.step()
        return {"loss": value}

    state = {"network": network, "optimizer": optimizer, "schedule": schedule}
    return train(step, steps, state=state, checkpoint=checkpoint)


def parameters(network: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, *inputs: torch.Tensor) -> int:
    """The products in the convolutions and matrix products of one forward pass, counted by it."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs)
    return counter.get_total_flops() // 2  # a product and a sum


@contextlib.contextmanager
def _interrupts_held() -> Iterator[list[int]]:
    """Inside, a first interrupt is only noted in the list, so that it cuts no step in half.

    A second one interrupts at once.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # no interrupt comes elsewhere
        yield noted
        return

    def note(number: int, _: object) -> None:
        noted.append(number)
        signal.signal(signal.SIGINT, usual)

    usual = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, usual)


def _finite(report: Mapping[str, torch.Tensor | float], i: int) -> dict[str, float]:
    values = {name: torch.as_tensor(value).item() for name, value in report.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"{name} became {value} at step {i}. {DIVERGED}")
    return values


def _save(path: Path, done: int, history: History, state: Mapping[str, Any]) -> None:
    for name, part in state.items():  # a diverged state never replaces a good one
        if isinstance(part, nn.Module) and not all(p.isfinite().all() for p in part.parameters()):
            raise FloatingPointError(f"{name} is not finite after {done} steps. {DIVERGED}")
    content = {
        "done": done,
        "history": vars(history),
        "state": {name: part.state_dict() for name, part in state.items()},
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as temporary:
        torch.save(content, temporary)


def _resume(path: Path, state: Mapping[str, Any], steps: int) -> tuple[int, History]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise OSError(f"{path} cannot be read ({error}). Delete it to train anew.") from error
    try:
        if content["state"].keys() != state.keys():
            raise ValueError(f"it holds {sorted(content['state'])}, not {sorted(state)}")
        if content["done"] > steps:
            raise ValueError(f"it has done {content['done']} steps, more than {steps}")
        for name, part in state.items():
            part.load_state_dict(content["state"][name])
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["cuda_rng"])
        return content["done"], History(**content["history"])
    except Exception as error:  # another network, or no checkpoint at all
        raise ValueError(
            f"{path} is a checkpoint of something else ({error}). Delete it or name another file."
        ) from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end, or leaves no trace."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def accelerate(module: nn.Module, device: torch.device, *, compiled: bool = True) -> nn.Module:
    """Move a network to `device`, channels last (convolutions like it); compile it on CUDA."""
    module = module.to(device, memory_format=torch.channels_last)
    if device.type == "cuda" and compiled:
        module.compile()  # in place, so that names in state_dict stay as they are
    return module


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """Mixed precision (bfloat16) on CUDA; full precision elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def load_weights(name: str, module: nn.Module) -> dict[str, Any]:
    """Fill `module` with the parameters that the book ships; gives their card.

    Args:
        name: `weights/NAME.safetensors` holds the parameters, `weights/NAME.json` their card.
        module: a network of the right shape; changed in place and set to evaluation mode.

    Raises:
        OSError: a file is missing or damaged.
        ValueError: the stored parameters have other names or shapes than `module`.
    """
    weights, card_file = WEIGHTS / f"{name}.safetensors", WEIGHTS / f"{name}.json"
    try:
        parameters = load_file(weights)
        card = json.loads(card_file.read_text("utf-8"))
    except (OSError, SafetensorError, ValueError) as error:
        raise OSError(
            f"The weights {name!r} or their card cannot be read ({error}). "
            f"Fetch {weights} and {card_file.name} again, or delete both to train anew."
        ) from error
    try:
        module.load_state_dict(parameters)
    except RuntimeError as error:
        raise ValueError(f"{weights} does not fit this network: {error}") from error
    module.eval()
    return card


def ship_weights(name: str, module: nn.Module, card: Mapping[str, Any]) -> None:
    """Store the parameters of `module` and their card; each file is written whole or not at all.

    Args:
        name: as in `load_weights`.
        module: the trained network.
        card: notebook, build, data, recipe, steps, seconds, score, export. Name, machine, date and
            PyTorch version are added here.
    """
    weights, card_file = WEIGHTS / f"{name}.safetensors", WEIGHTS / f"{name}.json"
    card = {"name": name, **card, **_machine(module)}
    parameters = {key: value.cpu().contiguous() for key, value in module.state_dict().items()}
    WEIGHTS.mkdir(exist_ok=True)
    with _replacing(card_file) as temporary:
        text = json.dumps(card, indent=1, ensure_ascii=False, default=float)  # scores: tensors
        temporary.write_text(text + "\n", "utf-8")
    with _replacing(weights) as temporary:
        save_file(parameters, temporary)


def load_or_train(name: str, module: nn.Module, recipe: Callable[[], dict[str, Any]]) -> dict:
    """`load_weights`, after training and shipping the parameters where none are stored.

    Args:
        name, module: as in `load_weights`.
        recipe: trains `module` and returns its card, as `ship_weights` takes it.

    Returns:
        The card.

    Raises:
        OSError, ValueError: as `load_weights`.
    """
    if not (WEIGHTS / f"{name}.safetensors").exists():
        ship_weights(name, module, recipe())
    return load_weights(name, module)


def _machine(module: nn.Module) -> dict[str, str]:
    if next(module.parameters()).is_cuda:
        machine = torch.cuda.get_device_name()
    else:
        machine = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return {"machine": machine, "date": date.today().isoformat(), "torch": torch.__version__}
