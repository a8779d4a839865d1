"""The definitions of chapter 06a_super_resolution, taken from the notebook without running it.

The published bicubic figures are tested where Set5 is on disk. The part that only a GPU runs at its
full size runs here small, on the CPU.
"""

from __future__ import annotations

import signal
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from nbsource import definitions, find
from torch import nn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sr() -> ModuleType:
    return definitions(find("06a_super_resolution"))


@pytest.fixture(scope="module")
def held_out(sr) -> dict:
    return sr.photographs("test")


def test_networks_have_the_shapes_they_state(sr):
    y = torch.rand(2, 1, 11, 14)
    for s in (1, 2, 3, 4):
        assert sr.SRResNet(s, 8, 2)(y).shape == (2, 1, 11 * s, 14 * s)
    assert sr.SRResNet(3, 8, 2, normalised=True)(y).shape == (2, 1, 33, 42)
    assert sr.ESPCN(3)(y).shape == (2, 1, 33, 42)
    assert sr.Peer(3)(y).shape == (2, 1, 33, 42)
    scores, maps = sr.Critic(4)(torch.rand(2, 1, 48, 48))
    assert scores.shape == (2,)
    assert [h.shape[1:] for h in maps] == [(4, 24, 24), (8, 12, 12), (8, 6, 6), (16, 3, 3)]


@pytest.mark.parametrize("s", [2, 3, 4, 5])
def test_the_formula_is_the_operator_of_the_helpers(sr, s: int):
    x = torch.rand(1, 1, 7 * s, 9 * s, dtype=torch.float64)
    by_formula = sr.weights(7 * s, s) @ x @ sr.weights(9 * s, s).T
    assert by_formula.allclose(sr.Downsample(s)(x), atol=1e-12)


def test_an_untrained_network_is_bicubic_enlargement(sr):
    """Its last weights and biases are zero, so only the fixed filters are left."""
    for s in (2, 3, 4):
        net = sr.SRResNet(s, 4, 1).requires_grad_(False)
        y = torch.rand(1, 1, 12, 13)
        inside = (..., slice(2 * s, -2 * s), slice(2 * s, -2 * s))
        assert net(y)[inside].allclose(sr.bicubic(y, s)[inside], atol=1e-5)


def test_sub_pixel_and_transposed_convolution_agree(sr):
    torch.manual_seed(0)
    for s, k in ((2, 1), (3, 3), (2, 5)):
        W = torch.randn(s * s, 3, k, k, dtype=torch.float64)
        h = torch.randn(2, 3, 6, 7, dtype=torch.float64)
        sub_pixel = F.pixel_shuffle(F.conv2d(h, W, padding=k // 2), s)
        V = sr.transposed_kernel(W, s)
        transposed = F.conv_transpose2d(h, V, stride=s, padding=s * (k // 2))
        assert sub_pixel.allclose(transposed, atol=1e-12)


def test_consistency_makes_the_data_exact_and_is_a_projection(sr):
    torch.manual_seed(0)
    x, guess = torch.rand(2, 1, 1, 24, 36, dtype=torch.float64)
    y = sr.Downsample(3)(x)
    moved = sr.consistent(guess, y, 3)
    assert sr.Downsample(3)(moved).allclose(y, atol=1e-10)
    assert sr.consistent(moved, y, 3).allclose(moved, atol=1e-10)
    assert (moved - x).norm() < (guess - x).norm()
    assert sr.Downsample(3)(sr.unseen(guess, 3)).abs().max() < 1e-10


def test_luma_is_that_of_television(sr):
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]])[:, :, None, None]
    expected = torch.tensor([16, 235, 16 + 65.481]) / 255
    assert sr.luma(corners).flatten().allclose(expected, atol=1e-6)


def test_the_measurement_is_rounded_and_the_photograph_cut(sr):
    photo = torch.rand(3, 50, 61)
    y, x = sr.shrunk(photo, 4)
    assert y.shape == (1, 3, 12, 15)
    assert x.shape == (1, 3, 48, 60)
    assert (255 * y).allclose((255 * y).round(), atol=1e-4)
    assert torch.equal(x[0], photo[:, :48, :60])


def test_score_cuts_the_border_and_clips(sr):
    """An estimate that is right inside and wild at the border scores as if it were right."""
    photo = torch.rand(3, 36, 36)
    _, x = sr.shrunk(photo, 3)
    truth = sr.luma(x)

    def nearly(y):
        wild = torch.full_like(truth, 9.0)
        wild[..., 3:-3, 3:-3] = truth[..., 3:-3, 3:-3] + 0.01
        return wild

    assert sr.score(nearly, photo, 3) == pytest.approx(40, abs=0.01)
    shifted = sr.score(lambda y: truth + 0.02, photo, 3)
    assert shifted == pytest.approx(20 * torch.tensor(50.0).log10().item(), abs=0.01)


@pytest.mark.parametrize(("s", "published"), [(3, 30.39), (4, 28.42)])
def test_the_protocol_gives_the_published_bicubic_figures(sr, s: int, published: float):
    from helpers.data import CACHE

    if not (CACHE / "public" / "set5").is_dir():
        pytest.skip("Set5 is not on this machine: public_photographs('set5') fetches it.")
    found = [
        sr.score(lambda y: sr.bicubic(y, s), x, s) for x in sr.public_photographs("set5").values()
    ]
    assert sum(found) / len(found) == pytest.approx(published, abs=0.02)


def test_pairs_hold_a_photograph_and_its_measurement(sr):
    x = torch.rand(1, 310, 401)
    found = sr.pairs([x], 3)
    assert len(found) == 2  # at a ratio of 0.6 it would be too small
    both = found[0][None]
    y, z = both[:, :1], F.pixel_shuffle(both[:, 1:], 3)
    assert torch.equal(z[0], x[:, :309, :399])
    assert (y - sr.Downsample(3)(z)).abs().max() <= 0.5 / 255 + 1e-5


def test_detailed_keeps_the_rougher_half(sr):
    flat = torch.full((3, 10, 4, 4), 0.5)
    rough = torch.cat([flat[:, :1], torch.rand(3, 9, 4, 4)], 1)
    kept = sr.detailed(torch.cat([flat, rough]))
    assert len(kept) == 3
    assert all(any(torch.equal(k, r) for r in rough) for k in kept)


def test_training_learns_and_goes_on_where_it_was_stopped(sr, tmp_path):
    data = sr.pairs(list(sr.photographs("train", grey=True).values())[:2], 3)

    def run(stop: int | None = None, checkpoint=None) -> nn.Module:
        calls = []

        def loss(x_hat, x):
            calls.append(None)
            if len(calls) == stop:
                signal.raise_signal(signal.SIGINT)
            return F.l1_loss(x_hat, x)

        torch.manual_seed(0)
        net = sr.SRResNet(3, 8, 1)
        sr.fit(net, data, 3, 80, n=8, side=8, loss=loss, checkpoint=checkpoint)
        return net

    plain = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop=5, checkpoint=tmp_path / "a")
    resumed = run(checkpoint=tmp_path / "a")
    for name, value in plain.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    y, x = (sr.luma(v) for v in sr.shrunk(sr.photographs("train")["astronaut"], 3))
    with torch.no_grad():
        ours, theirs = (F.mse_loss(v, x) for v in (plain(y), sr.bicubic(y, 3)))
    assert ours < 0.98 * theirs


def test_the_rate_falls_to_nothing_and_the_gradient_is_clipped(sr, tmp_path):
    data = sr.pairs(list(sr.photographs("train", grey=True).values())[:1], 3)
    torch.manual_seed(0)
    net, norms = sr.SRResNet(3, 8, 1), []
    clip = nn.utils.clip_grad_norm_

    def watched(parameters, bound):
        parameters = list(parameters)
        clip(parameters, bound)
        norms.append(sum(p.grad.square().sum() for p in parameters).sqrt().item())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sr.nn.utils, "clip_grad_norm_", watched)
        sr.fit(net, data, 3, 40, n=4, side=8, lr=1e-3, checkpoint=tmp_path / "a")
    assert len(norms) == 40
    assert max(norms) <= 0.1 + 1e-5
    content = torch.load(tmp_path / "a", weights_only=True)
    assert content["state"]["opt"]["param_groups"][0]["lr"] < 1e-5


def test_greys_are_channels_and_negatives(sr):
    x = torch.rand(3, 5, 6)
    found = sr.greys(x)
    assert len(found) == 8
    assert torch.equal(torch.cat(found[1:4]), x)
    for positive, negative in zip(found[:4], found[4:], strict=True):
        assert (positive + negative).allclose(torch.ones(1, 5, 6))
    assert len(sr.greys(x[:1].expand(3, 5, 6))) == 2


def test_detail_in_luma_is_detail_in_colour(sr):
    y, d = torch.full((1, 3, 5, 5), 0.5), 0.02 * torch.rand(1, 1, 20, 20)
    plain = sr.in_colour(lambda v: sr.bicubic(v, 4), y, 4)
    detailed = sr.in_colour(lambda v: sr.bicubic(v, 4) + d, y, 4)
    assert (sr.luma(detailed) - sr.luma(plain)).allclose(d, atol=1e-6)


def test_texture_counts_in_logarithms_of_the_spread(sr):
    x = 0.5 + torch.randn(1, 1, 48, 48)
    apart = sr.texture(2 * x) - sr.texture(x)
    assert apart.shape == (4, 9)
    assert apart.allclose(torch.tensor(2.0).double().log().expand(4, 9), atol=1e-3)


def test_the_adversarial_step_changes_the_network(sr):
    torch.manual_seed(0)
    data = sr.pairs(list(sr.photographs("train", grey=True).values())[:2], 3)
    net = sr.SRResNet(3, 8, 1)
    before = net.head.weight.detach().clone()
    history = sr.adversarial(net, data, 3, 2, alpha=0.01, beta=0.1)
    assert not torch.equal(net.head.weight, before)
    assert min(history.values["R1"]) > 0
    assert all(torch.isfinite(torch.tensor(v)).all() for v in history.values.values())


@pytest.mark.parametrize(("name", "s"), [("espcn_x3", 3), ("srresnet_x4", 4)])
def test_shipped_networks_beat_bicubic(sr, held_out, name: str, s: int):
    net = {3: sr.SRResNet(3, 32, 5), 4: sr.SRResNet(4, 48, 8)}[s]
    sr.load_weights(name, net)
    gains = [sr.score(net, x, s) - sr.score(lambda y: sr.bicubic(y, s), x, s)
             for x in held_out.values()]  # fmt: skip
    assert min(gains) > 0.1
    assert sum(gains) / len(gains) > {3: 1.5, 4: 1.4}[s]


def test_the_gpu_part_runs_small_on_the_cpu(sr, held_out):
    sources = list(sr.photographs("train", grey=True).values())[:1]
    tests = [held_out["coins"][:, :64, :64]]
    sizes = {"channels": 4, "blocks": 1, "side": 8, "n": 2}
    assert 10 < sr.at_full_scale(sources, tests, CPU, 6, **sizes) < 50
