"""helpers.digit_network: the shipped network is as good as its card says, and can be made again."""

from __future__ import annotations

import json

import pytest
import torch
from helpers import digit_network, training
from helpers.data import digits
from helpers.digit_network import DigitNetwork, accuracy


def test_the_shipped_network_names_98_percent_of_held_out_digits():
    network = digit_network.digit_network()
    card = json.loads((training.WEIGHTS / "digit_network.json").read_text("utf-8"))
    right = accuracy(network)
    assert right >= 0.98
    assert right == pytest.approx(card["score"]["held-out accuracy"], abs=0.002)  # a digit or two
    assert not network.training
    assert digit_network.digit_network() is network  # loaded once a session


def test_accuracy_counts():
    class Always(torch.nn.Module):
        def __init__(self, seen: torch.Tensor) -> None:
            super().__init__()
            self.seen = seen

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(self.seen, 10).float()

    label = digits("test")[1]
    assert accuracy(Always(label)) == 1
    assert accuracy(Always((label + 1) % 10)) == 0
    assert accuracy(Always(torch.zeros_like(label))) == pytest.approx(0.1)


def test_features_come_before_the_head():
    network = DigitNetwork().eval()
    x = torch.rand(3, 1, 28, 28)
    assert network.features(x).shape == (3, 64)
    assert torch.equal(network(x), network.head(network.features(x)))


def test_scoring_leaves_the_random_numbers_alone():
    """Or a chapter's training would depend on whether something was scored before it."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    digit_network.digit_network.cache_clear()
    digit_network.digit_network()
    assert torch.equal(torch.rand(3), expected)


def test_the_recipe_still_runs(tmp_path, monkeypatch):
    """The shipped weights hide a recipe that has broken; so two of its steps are taken here."""
    monkeypatch.setattr(training, "WEIGHTS", tmp_path)
    network = DigitNetwork()
    before = network.head.weight.clone()
    card = training.load_or_train(
        "digit_network", network, lambda: digit_network._recipe(network, steps=2)
    )
    assert card["steps"] == 2
    assert card["score"]["held-out accuracy"] == accuracy(network)
    assert (tmp_path / "digit_network.safetensors").exists()
    assert not torch.equal(network.head.weight, before)
    assert all(value.isfinite().all() for value in network.state_dict().values())
