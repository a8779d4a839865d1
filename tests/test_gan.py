"""The definitions of chapter 03_gan, taken from the notebook without running it.

Among them is the part that only a GPU runs at its full size: here it runs small, on the CPU.
"""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType

import pytest
import torch
from nbsource import definitions, find
from torch import nn


@pytest.fixture(scope="module")
def gan() -> ModuleType:
    return definitions(find("03_gan"))


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_wide_networks_fit_each_other(gan, side: int, channels: int):
    G, C = gan.wide_generator(side, channels, width=4), gan.wide_critic(side, channels, width=4)
    x = G(torch.randn(3, 64))
    assert x.shape == (3, channels, side, side)
    assert 0 <= x.min() <= x.max() <= 1
    assert C(x).shape == (3,)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("game", ["non-saturating", "wasserstein", "relativistic"])
def test_each_game_trains_on_colour_bytes(gan, monkeypatch, game: str, mixed: bool):
    """As on a GPU: bytes in, mixed precision, penalties in full precision."""
    if mixed:
        bfloat16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
        monkeypatch.setattr(gan, "autocast", lambda device: bfloat16())
    torch.manual_seed(0)
    G, C = gan.wide_generator(32, 3, width=4), gan.wide_critic(32, 3, width=4)
    before = [p.clone() for p in G.parameters()]
    images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
    penalty = {"wasserstein": gan.gradient_penalty, "relativistic": gan.zero_centred}.get(game)
    average, history = gan.train_gan(game, G, C, images, 3, penalty=penalty, batch=8, reach=2)
    assert all(math.isfinite(v) for values in history.values.values() for v in values)
    assert any(not torch.equal(p, q) for p, q in zip(before, average.parameters(), strict=True))


def test_an_interrupted_run_resumes(gan, tmp_path):
    """The averaged generator, both optimisers and both schedules are all in the checkpoint."""
    images = torch.rand(20, 1, 28, 28)

    def run(steps: int, **options) -> nn.Module:
        torch.manual_seed(0)
        players = gan.Generator(w=2), gan.Critic(2)
        return gan.train_gan("relativistic", *players, images, steps, batch=4, **options)[0]

    whole = run(6)
    with pytest.MonkeyPatch.context() as patch:
        calls = []

        def stop_after_three(images, n, sample=gan.sample):
            calls.append(n)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return sample(images, n)

        patch.setattr(gan, "sample", stop_after_three)
        patch.setattr(gan, "train", partial(gan.train, every=1))
        with pytest.raises(KeyboardInterrupt):
            run(6, checkpoint=tmp_path / "c")
    resumed = run(6, checkpoint=tmp_path / "c")
    for p, q in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(p, q)


def test_shift_moves_whole_images(gan):
    torch.manual_seed(0)
    x = torch.zeros(50, 2, 12, 12)
    x[:, :, 5:7, 4:8] = torch.rand(50, 2, 2, 4)
    moved = gan.shift(x, 3)
    rolls = [torch.roll(x, (i, j), (2, 3)) for i in range(-3, 4) for j in range(-3, 4)]
    same = torch.stack([(moved == r).flatten(1).all(1) for r in rolls])  # (49, 50)
    assert same.any(0).all()
    assert same.any(1).sum() > 20  # many different shifts, not one for the batch
    assert torch.equal(gan.shift(x, 0), x)


def test_modes_counts_what_is_covered(gan):
    torch.manual_seed(0)
    everything, one = gan.ring(1, 2000), gan.centres()[:1].expand(1, 2000, 2)
    nothing = torch.zeros(1, 2000, 2)
    assert gan.modes(torch.cat([everything, one, nothing])) == [8, 1, 0]


def test_penalties_of_a_linear_critic(gan):
    """C(x) = w · x has the slope |w| everywhere."""
    w = torch.tensor([3.0, 4.0])
    real, fake = torch.randn(2, 10, 2), torch.randn(2, 10, 2)
    for scale, one_sided, expected in ((1, True, 16), (0.1, True, 0), (0.1, False, 0.25)):
        penalty = gan.gradient_penalty(
            lambda x, s=scale: s * x @ w, real, fake, weight=1.0, one_sided=one_sided
        )
        assert penalty.item() == pytest.approx(expected, abs=1e-5)
    assert gan.zero_centred(lambda x: x @ w, real, fake, gamma=0.1).item() == pytest.approx(2.5)


def test_slerp_stays_on_the_sphere(gan):
    z0, z1 = (nn.functional.normalize(torch.randn(4, 64), dim=1) * 8 for _ in range(2))
    path = gan.slerp(z0, z1, torch.linspace(0, 1, 5))
    assert path.norm(dim=2).allclose(torch.tensor(8.0), atol=1e-4)
    assert path[:, 0].allclose(z0, atol=1e-5)
    assert path[:, -1].allclose(z1, atol=1e-5)


def test_an_unknown_game_is_named(gan):
    with pytest.raises(ValueError, match="no game 'chess'"):
        gan.losses("chess", torch.zeros(1), torch.zeros(1))
