"""The small digit network whose features score every digit that the book generates."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import digits, random_affine
from .training import load_or_train, train


def _block(channels_in: int, channels_out: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out), nn.SiLU()]


class DigitNetwork(nn.Module):
    """Digits (N, 1, 28, 28) in [0, 1] -> ten logits (N, 10), through 64 features (N, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(1, 24), *_block(24, 24), nn.MaxPool2d(2),   # (N, 24, 14, 14)
            *_block(24, 48), *_block(48, 48), nn.MaxPool2d(2),  # (N, 48, 7, 7)
            *_block(48, 96), nn.MaxPool2d(2),                   # (N, 96, 3, 3)
            nn.Flatten(), nn.Linear(96 * 9, 64), nn.ReLU(),     # (N, 64)
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


@cache
def digit_network() -> DigitNetwork:
    """The network with the parameters that the book ships, on the CPU, in evaluation mode.

    `python -m helpers.digit_network`, with the stored weights deleted, trains it anew (a minute).
    """
    with torch.random.fork_rng(devices=[]):  # a score must not change what is drawn after it
        torch.manual_seed(97)
        network = DigitNetwork()
        load_or_train("digit_network", network, lambda: _recipe(network))
    network.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    return network


def _recipe(network: DigitNetwork, steps: int = 600) -> dict:
    x, label = digits("train")
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)

    def step(_: int) -> dict[str, Tensor]:
        batch = torch.randint(len(x), (128,))
        logits = network(random_affine(x[batch]))
        loss = F.cross_entropy(logits, label[batch], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return {"loss": loss}

    history = train(step, steps, title="digit network")
    return {
        "notebook": None,
        "build": "helpers.digit_network.DigitNetwork()",
        "data": "helpers.data.digits('train'): 4,000 digits, each bent by random_affine",
        "recipe": "AdamW, one cycle to 3e-3, batch 128, label smoothing 0.05",
        "steps": steps,
        "seconds": round(history.seconds, 1),
        "score": {"held-out accuracy": accuracy(network)},
        "export": None,
    }


@torch.no_grad()
def accuracy(network: nn.Module) -> float:
    """Share of the 1,000 held-out digits that `network` names rightly."""
    network.eval()
    x, label = digits("test")
    return (network(x).argmax(1) == label).double().mean().item()


if __name__ == "__main__":
    print(f"{accuracy(digit_network()):.2%} of the held-out digits are named rightly.")
