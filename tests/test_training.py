"""helpers.training: nothing trained is lost, and a resumed run is the run that was not stopped."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import training
from helpers.training import (
    History,
    accelerate,
    autocast,
    learn,
    load_or_train,
    load_weights,
    multiply_adds,
    parameters,
    train,
)
from torch import nn

STEPS = 20


class Game:
    """Two networks with an optimiser and a batch each, as in a GAN: a step can be cut in half."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.networks = [nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)) for _ in range(2)]
        self.optimizers = [torch.optim.Adam(n.parameters(), 0.1) for n in self.networks]
        parts = {"g": self.networks[0], "d": self.networks[1]}
        self.state = parts | dict(zip(("opt_g", "opt_d"), self.optimizers, strict=True))
        self.calls: list[int] = []

    def step(self, i: int, between: Callable[[], None] = lambda: None) -> dict[str, torch.Tensor]:
        self.calls.append(i)
        losses = []
        for network, optimizer in zip(self.networks, self.optimizers, strict=True):
            loss = (network(torch.randn(5, 3)) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
            if len(losses) == 1:
                between()
        return {"loss_g": losses[0], "loss_d": losses[1]}

    def parameters(self) -> list[torch.Tensor]:
        return [p.detach().clone() for n in self.networks for p in n.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def stop_at(game: Game, at: int, stop: Callable[[], None]) -> Callable[[int], dict]:
    """The game's step, stopped at step `at` when one network has moved and the other has not."""
    return lambda i: game.step(i, stop if i == at else lambda: None)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)  # what Ctrl-C and Jupyter's stop button send


def fail() -> None:
    raise RuntimeError("out of memory")


@pytest.fixture
def whole() -> tuple[Game, History]:
    """The run that nobody stopped."""
    game = Game()
    return game, train(game.step, STEPS, keep=3)


# ---------------------------------------------------------------- counting


@pytest.mark.parametrize(("steps", "keep"), [(1, 10), (7, 3), (10, 1), (21, 10), (5, 100)])
def test_steps_are_counted_and_history_is_spaced(steps: int, keep: int):
    calls = []
    history = train(lambda i: calls.append(i) or {"twice": 2.0 * i}, steps, keep=keep)
    assert calls == list(range(steps))
    assert history.step == sorted({*range(0, steps, keep), steps - 1})  # the last is always kept
    assert history.values == {"twice": [2.0 * i for i in history.step]}
    assert history.seconds > 0


@pytest.mark.parametrize("bad", [{"steps": 0}, {"keep": 0}, {"every": 0}])
def test_bad_counts(bad: dict[str, int]):
    with pytest.raises(ValueError, match="must be positive"):
        train(lambda i: {}, **{"steps": 1, **bad})


def test_a_checkpoint_needs_a_state(tmp_path: Path):
    with pytest.raises(ValueError, match="needs `state`"):
        train(lambda i: {}, 1, checkpoint=tmp_path / "c.pt")


# ---------------------------------------------------------------- stopping and resuming


@pytest.mark.parametrize(
    ("at", "stop", "error", "kept"),
    [
        # An interrupt waits for the end of its step, so not even that step is lost ...
        (0, interrupt, KeyboardInterrupt, 1),
        (7, interrupt, KeyboardInterrupt, 8),
        (9, interrupt, KeyboardInterrupt, 10),
        (STEPS - 1, interrupt, KeyboardInterrupt, STEPS),
        # ... but an error cannot wait: the last checkpoint of whole steps stands.
        (7, fail, RuntimeError, 5),
        (10, fail, RuntimeError, 10),
    ],
)
def test_a_resumed_run_is_the_whole_run_bit_for_bit(whole, tmp_path, at, stop, error, kept):
    file = tmp_path / "folder" / "c.pt"
    first = Game()
    arguments = {"steps": STEPS, "keep": 3, "every": 5, "checkpoint": file}
    with pytest.raises(error):
        train(stop_at(first, at, stop), state=first.state, **arguments)
    second = Game(seed=1)  # other parameters and other random numbers, which the file must undo
    history = train(second.step, state=second.state, **arguments)
    assert second.calls == list(range(kept, STEPS))
    assert same(second.parameters(), whole[0].parameters())
    assert history.step == whole[1].step
    assert history.values == whole[1].values
    assert [f.name for f in file.parent.iterdir()] == ["c.pt"]


@pytest.fixture
def listening():
    """SIGINT raises KeyboardInterrupt, also where a shell has started pytest with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_a_second_interrupt_does_not_wait(tmp_path: Path):
    game, ended = Game(), []

    def step(i: int) -> dict:
        interrupt()
        interrupt()
        ended.append(i)
        return {}

    with pytest.raises(KeyboardInterrupt):
        train(step, 3, state=game.state, checkpoint=tmp_path / "c.pt")
    assert not ended
    assert not list(tmp_path.iterdir())  # half a step is not kept


@pytest.mark.parametrize("stop", [lambda: None, interrupt, fail])
def test_the_usual_answer_to_interrupts_comes_back(stop: Callable[[], None]):
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(KeyboardInterrupt, RuntimeError):
        train(stop_at(Game(), 1, stop), 3)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_a_thread(whole):
    game = Game()  # Python lets only the main thread listen to signals
    thread = threading.Thread(target=train, args=(game.step, STEPS))
    thread.start()
    thread.join()
    assert same(game.parameters(), whole[0].parameters())


def test_a_finished_run_is_restored_without_training(whole, tmp_path: Path):
    arguments = {"steps": STEPS, "keep": 3, "checkpoint": tmp_path / "c.pt"}
    first = Game()
    done = train(first.step, state=first.state, **arguments)
    second = Game(seed=1)
    again = train(second.step, state=second.state, **arguments)
    assert second.calls == []
    assert again == done
    assert same(second.parameters(), whole[0].parameters())


def test_a_finished_run_can_be_prolonged(whole, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(training.time, "perf_counter", itertools.count().__next__)  # a tick a look
    game = Game()
    short, history = (
        train(game.step, steps, state=game.state, checkpoint=tmp_path / "c.pt")
        for steps in (5, STEPS)
    )
    assert (short.seconds, history.seconds) == (5, STEPS)  # the time of both sessions
    assert game.calls == list(range(STEPS))
    assert history.step == [0, 4, 10, STEPS - 1]
    assert same(game.parameters(), whole[0].parameters())


# ---------------------------------------------------------------- damaged and foreign checkpoints


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The checkpoint of five steps."""
    game = Game()
    train(game.step, 5, state=game.state, checkpoint=tmp_path / "c.pt")
    return tmp_path / "c.pt"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_checkpoint(checkpoint, monkeypatch, error):
    before, real_save = checkpoint.read_bytes(), torch.save

    def half(content: object, path: Path) -> None:
        real_save(content, path)
        path.write_bytes(path.read_bytes()[:100])
        raise error

    monkeypatch.setattr(torch, "save", half)
    game = Game()
    with pytest.raises(type(error)):
        train(game.step, 9, state=game.state, every=2, checkpoint=checkpoint)
    assert game.calls == [5]  # it did train on, up to the step whose checkpoint failed
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


@pytest.mark.parametrize("kept_bytes", [0, 10, 1000, -10])
def test_a_damaged_checkpoint(checkpoint: Path, kept_bytes: int):
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept_bytes])
    game = Game()
    with pytest.raises(OSError, match=r"c\.pt cannot be read .* Delete it") as raised:
        train(game.step, 9, state=game.state, checkpoint=checkpoint)
    assert raised.value.__cause__ is not None
    assert game.calls == []


def other_shape() -> dict:
    return Game().state | {"d": nn.Linear(7, 7)}


def other_names() -> dict:
    return {"generator": nn.Linear(3, 4)}


@pytest.mark.parametrize("state", [other_shape, other_names])
def test_the_checkpoint_of_another_network(checkpoint: Path, state: Callable[[], dict]):
    with pytest.raises(ValueError, match=r"c\.pt is a checkpoint of something else"):
        train(lambda i: {}, 9, state=state(), checkpoint=checkpoint)


@pytest.mark.parametrize("content", [[1, 2], {"state": 1}, {"weights": {}}])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: object):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="is a checkpoint of something else"):
        train(lambda i: {}, 9, state=Game().state, checkpoint=tmp_path / "c.pt")


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor(-float("inf"))])
def test_a_loss_that_is_not_finite(value: float | torch.Tensor):
    with pytest.raises(FloatingPointError, match=r"loss_d became (nan|-?inf) at step 6\. Lower"):
        train(lambda i: {"loss_g": 0.0, "loss_d": value if i == 6 else 1.0}, 9, keep=2)


@pytest.mark.parametrize("stop", [lambda: None, interrupt])
@pytest.mark.parametrize("spoil", ["loss", "parameter"])
def test_a_diverged_state_never_replaces_a_good_one(checkpoint, stop, spoil):
    """Also where the history does not look (`keep`), and where the loss itself stays finite."""
    before = checkpoint.read_bytes()
    game = Game()

    def step(i: int) -> dict:
        report = stop_at(game, 7, stop)(i)
        if spoil == "parameter":
            nn.init.constant_(game.networks[1][0].bias, torch.nan)
            return {"loss": 0.0}
        return report | {"loss": torch.nan}

    with pytest.raises(FloatingPointError, match=r"Lower the learning rate"):
        train(step, 99, state=game.state, keep=50, every=9, checkpoint=checkpoint)
    assert game.calls == list(range(5, 8 if stop is interrupt else 9))
    assert checkpoint.read_bytes() == before


# ---------------------------------------------------------------- shipped weights


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    monkeypatch.setattr(training, "WEIGHTS", folder)
    return folder


class Recipe:
    """Fills a network with sevens, and counts how often it was asked to."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.runs = module, 0

    def __call__(self) -> dict:
        self.runs += 1
        self.module.train()
        for parameter in self.module.parameters():
            nn.init.constant_(parameter, 7)
        # The score is a tensor, as scores often are: it must not cost the training its file.
        return {
            "notebook": "03_gan", "build": "Linear(2, 3)", "data": "none", "recipe": "sevens",
            "steps": 1, "seconds": 0.1, "score": {"é": torch.tensor(0.5)}, "export": None,
        }  # fmt: skip


CARD = {
    "name", "notebook", "build", "data", "recipe", "steps", "seconds", "machine", "date", "score",
    "torch", "export",
}  # fmt: skip


def test_weights_are_trained_once_and_then_loaded(weights: Path):
    recipe = Recipe(nn.Conv2d(1, 2, 3).to(memory_format=torch.channels_last))
    card = load_or_train("sevens", recipe.module, recipe)
    assert {file.name for file in weights.iterdir()} == {"sevens.safetensors", "sevens.json"}
    assert card.keys() == CARD
    assert card == json.loads((weights / "sevens.json").read_text("utf-8"))
    assert card["score"] == {"é": 0.5}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", card["date"])
    assert not recipe.module.training

    other = Recipe(nn.Conv2d(1, 2, 3).train())
    assert load_or_train("sevens", other.module, other) == card
    assert (recipe.runs, other.runs) == (1, 0)
    assert all((p == 7).all() for p in other.module.parameters())
    assert not other.module.training
    assert load_weights("sevens", nn.Conv2d(1, 2, 3)) == card


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("net.safetensors", damage),
        ("net.safetensors", lambda file: file.write_bytes(b"")),
        ("net.json", damage),
        ("net.json", lambda file: file.write_bytes(b"\xff\xfe\x00")),
        ("net.json", Path.unlink),
    ],
)
def test_damaged_weights_are_named_and_not_trained_over(weights: Path, name, spoil):
    recipe = Recipe(nn.Linear(2, 3))
    load_or_train("net", recipe.module, recipe)
    spoil(weights / name)
    before = {file.name: file.read_bytes() for file in weights.iterdir()}
    with pytest.raises(OSError, match=r"net\.safetensors and net\.json again, or delete both"):
        load_or_train("net", recipe.module, recipe)
    assert recipe.runs == 1
    assert before == {file.name: file.read_bytes() for file in weights.iterdir()}


def test_missing_weights_are_named(weights: Path):
    with pytest.raises(OSError, match=r"'net' or their card cannot be read .* Fetch .*net\.safet"):
        load_weights("net", nn.Linear(2, 3))
    assert not weights.exists()


@pytest.mark.parametrize("network", [nn.Linear(2, 4), nn.Conv2d(2, 3, 1), nn.Identity()])
def test_weights_of_another_network(weights: Path, network: nn.Module):
    recipe = Recipe(nn.Linear(2, 3))
    load_or_train("net", recipe.module, recipe)
    with pytest.raises(ValueError, match=r"net\.safetensors does not fit this network"):
        load_or_train("net", network, recipe)


def test_an_interrupted_recipe_stores_nothing(weights: Path):
    def recipe() -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_train("net", nn.Linear(2, 3), recipe)
    assert not weights.exists()


def half_write(_: object, path: Path) -> None:
    path.write_bytes(b"half")
    raise OSError("disk full")


def no_rename(*_: object) -> None:
    raise OSError("disk full")


@pytest.mark.parametrize(
    ("writer", "crash"), [("save_file", half_write), ("os.replace", no_rename)]
)
def test_a_crash_while_storing_leaves_no_half_set_of_weights(weights, monkeypatch, writer, crash):
    recipe = Recipe(nn.Linear(2, 3))
    with monkeypatch.context() as patch:
        patch.setattr(f"helpers.training.{writer}", crash)
        with pytest.raises(OSError, match="disk full"):
            load_or_train("net", recipe.module, recipe)
    assert not list(weights.glob("*.part"))
    assert not (weights / "net.safetensors").exists()
    load_or_train("net", recipe.module, recipe)  # so the next call trains, and succeeds
    assert recipe.runs == 2


# ---------------------------------------------------------------- speed


def test_accelerate_keeps_the_network():
    network = nn.Conv2d(3, 4, 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = accelerate(network, torch.device("cpu"))
    assert fast.weight.is_contiguous(memory_format=torch.channels_last)
    assert fast.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in fast.state_dict().items())


def test_mixed_precision_is_for_cuda_only():
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_longer_run_is_not_taken_for_a_shorter_one(tmp_path: Path):
    game = Game()
    train(game.step, 6, state=game.state, checkpoint=tmp_path / "c.pt")
    with pytest.raises(ValueError, match="6 steps, more than 3"):
        train(game.step, 3, state=game.state, checkpoint=tmp_path / "c.pt")


def test_descend_is_one_step_down_and_forgets_old_gradients():
    w = torch.tensor([3.0], requires_grad=True)
    w.grad = torch.tensor([100.0])  # left over from elsewhere
    optimizer = torch.optim.SGD([w], lr=0.1)
    training.descend(optimizer, (w**2).sum())
    assert w.item() == pytest.approx(3 - 0.1 * 6)


# ---------------------------------------------------------------- learning, and what it costs


def test_learn_finds_the_least_of_a_loss_and_ends_at_a_low_rate():
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    A, x = torch.randn(50, 3), torch.tensor([[1.0], [-2.0], [0.5]])
    history = learn(network, lambda: (network(A) - A @ x - 3).square().mean(), 400, 0.1)
    assert torch.allclose(network.weight, x.T, atol=1e-3)
    assert network.bias.item() == pytest.approx(3, abs=1e-3)
    assert history.step[-1] == 399
    assert history.values["loss"][-1] < 1e-6 < history.values["loss"][0]


def test_learning_resumes(tmp_path: Path):
    """A run that ends at a checkpoint of its last step is restored without training."""
    torch.manual_seed(0)
    network, again = nn.Linear(3, 1), nn.Linear(3, 1)
    start = network.weight.detach().clone()
    learn(network, lambda: network(torch.rand(5, 3)).square().mean(), 5, checkpoint=tmp_path / "c")
    assert not torch.equal(start, network.weight)
    learn(again, lambda: 1 / 0, 5, checkpoint=tmp_path / "c")
    assert torch.equal(again.weight, network.weight)


def test_parameters_and_multiply_adds_by_hand():
    dense = nn.Linear(30, 7)
    assert parameters(dense) == 30 * 7 + 7
    assert multiply_adds(dense, torch.rand(4, 30)) == 4 * 30 * 7
    layers = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 1))
    assert parameters(layers) == 2 * 5 * 9 + 5 + 5 * 4 + 4
    assert multiply_adds(layers, torch.rand(3, 2, 8, 6)) == 3 * 8 * 6 * (2 * 5 * 9 + 5 * 4)
