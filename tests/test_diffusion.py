"""The definitions of chapter 07a_diffusion, taken from the notebook without running it."""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType

import pytest
import torch
from helpers.data import digits
from helpers.metrics import digit_classes, digit_features, frechet_distance
from helpers.time_unet import TimeUNet
from helpers.training import load_weights
from nbsource import definitions, find
from torch import Tensor, nn

CPU = torch.device("cpu")
CENTRES = torch.tensor([[-1.0, 0.5], [0.0, 1.2], [2.0, -0.3]]).double()
WIDTH = 0.2


@pytest.fixture(scope="module")
def df() -> ModuleType:
    return definitions(find("07a_diffusion"))


@pytest.fixture(scope="module")
def flow() -> nn.Module:
    network = TimeUNet(classes=10).requires_grad_(False)
    load_weights("flow_generator", network)
    return network


def answers(df, path, t: float):
    """Random (x_0, epsilon), what lies between them at t, and alpha and sigma there."""
    torch.manual_seed(0)
    x_0, epsilon = torch.randn(2, 50, 3).double()
    alpha, sigma = path(torch.tensor(t).double())
    return x_0, epsilon, alpha * x_0 + sigma * epsilon, alpha, sigma


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("size", [(28, 28), (64, 64), (32, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_network_keeps_the_shape(size: tuple, channels: int):
    x = torch.rand(2, channels, *size)
    assert TimeUNet(channels, w=8)(x, torch.rand(2)).shape == x.shape


def test_a_fresh_network_answers_zero():
    assert TimeUNet(w=8)(torch.rand(2, 1, 8, 8), torch.rand(2)).abs().max() == 0


def trained_like(classes: int) -> TimeUNet:
    """A network whose zeros are gone, so that everything has an effect."""
    torch.manual_seed(0)
    network = TimeUNet(w=8, classes=classes)
    for p in network.parameters():
        nn.init.normal_(p, std=0.1)
    return network


def test_time_and_label_matter_and_no_label_is_the_last_one():
    network, x = trained_like(10), torch.rand(4, 1, 8, 8)
    t = torch.full((4,), 0.3)
    label = torch.tensor([0, 1, 2, 3])
    base = network(x, t, label)
    assert not torch.allclose(base, network(x, t + 0.4, label), atol=1e-4)
    assert not torch.allclose(base, network(x, t, label + 1), atol=1e-4)
    assert torch.equal(network(x, t), network(x, t, torch.full((4,), 10)))


def test_each_image_is_treated_alone():
    network, x, t = trained_like(0), torch.rand(3, 1, 8, 8), torch.rand(3)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    assert torch.allclose(network(x, t), alone, atol=1e-5)


def test_every_parameter_is_used():
    network = trained_like(10)
    label = torch.arange(11)
    network(torch.rand(11, 1, 8, 8), torch.rand(11), label).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


# ---------------------------------------------------------------- paths and answers


def test_the_chain_begins_with_the_image_and_ends_with_noise(df):
    alpha, sigma = df.chain(torch.linspace(0, 1, df.T + 1).double())
    assert alpha[0] == 1
    assert sigma[0] == 0
    assert 0 < alpha[-1] < 0.01
    assert torch.allclose(alpha**2 + sigma**2, torch.ones(df.T + 1).double())
    assert (alpha.diff() < 0).all()
    assert len(df.beta()) == df.T
    assert alpha[1] ** 2 == pytest.approx(1 - df.beta()[0].item())


@pytest.mark.parametrize("t", [-0.1, 1.2])
def test_times_outside_the_chain_are_refused(df, t: float):
    with pytest.raises(ValueError, match="t lies in"):
        df.chain(torch.tensor([0.5, t]))


def test_straight_path_is_straight(df):
    alpha, sigma = df.straight(torch.tensor([0.0, 0.25, 1.0]))
    assert alpha.tolist() == [1, 0.75, 0]
    assert sigma.tolist() == [0, 0.25, 1]


def test_mix_takes_one_time_an_image(df):
    x, epsilon = torch.ones(3, 1, 2, 2), -torch.ones(3, 1, 2, 2)
    mixed = df.mix(x, epsilon, torch.tensor([0.0, 0.5, 1.0]), df.straight)
    assert mixed[:, 0, 0, 0].tolist() == [1, 0, -1]


@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("path", ["chain", "straight"])
def test_four_answers_say_the_same(df, path: str, t: float):
    x_0, epsilon, x_t, alpha, sigma = answers(df, getattr(df, path), t)
    for kind, value in (
        ("noise", epsilon), ("image", x_0), ("velocity", epsilon - x_0),
        ("score", -epsilon / sigma),
    ):  # fmt: skip
        found = df.image_and_noise(kind, value, x_t, alpha, sigma)
        assert torch.allclose(found[0], x_0), kind
        assert torch.allclose(found[1], epsilon), kind


def test_a_velocity_is_read_at_pure_noise_too(df):
    x_0, epsilon = torch.randn(2, 5, 3)
    found, _ = df.image_and_noise("velocity", epsilon - x_0, epsilon, 0.0, 1.0)
    assert torch.allclose(found, x_0, atol=1e-6)


def test_unknown_answers_are_refused(df):
    with pytest.raises(ValueError, match="no answer"):
        df.image_and_noise("guess", torch.ones(1), torch.ones(1), 0.5, 0.5)


# ---------------------------------------------------------------- what is known exactly


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_exact_image_is_the_posterior_mean_of_chapter_06b(df, sigma: float):
    dn = definitions(find("06b_denoising"))
    torch.manual_seed(0)
    y = 2 * torch.randn(100, 2).double()
    known = dn.posterior_mean(y, CENTRES, WIDTH, sigma)
    one = torch.tensor(1.0).double()
    assert torch.allclose(df.exact_image(y, one, sigma * one, CENTRES, WIDTH), known)
    half = 0.5 * one  # half the image, half the noise: half of y
    assert torch.allclose(df.exact_image(y / 2, half, sigma * half, CENTRES, WIDTH), known)


def test_exact_velocity_is_the_mean_velocity(df):
    x_t, t = torch.randn(50, 2).double(), torch.tensor(0.3).double()
    x_hat = df.exact_image(x_t, 1 - t, t, CENTRES, WIDTH)
    epsilon = (x_t - (1 - t) * x_hat) / t
    velocity = df.exact_velocity(x_t, t, CENTRES, WIDTH)
    assert torch.allclose(velocity, epsilon - x_hat)


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_the_exact_velocity_draws_the_mixture(df, sampler: str):
    torch.manual_seed(0)

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        return df.exact_velocity(x_t, t.double().clamp(min=1e-6), CENTRES, WIDTH)

    x = getattr(df, sampler)(predict, torch.randn(6000, 2).double(), 60)
    away = x[:, None] - CENTRES
    nearest = away.square().sum(2).argmin(1)
    share = torch.bincount(nearest, minlength=3) / len(x)
    assert (share - 1 / 3).abs().max() < 0.03
    own = away[torch.arange(len(x)), nearest]
    assert own.std(0).mean().item() == pytest.approx(WIDTH, rel=0.06)


def test_heun_is_of_second_order(df):
    """dx/dt = x has the solution e^-1 after walking from 1 to 0."""

    def error(walk, steps: int) -> float:
        x = walk(lambda x_t, t: x_t, torch.ones(1).double(), steps)
        return abs(x.item() - math.exp(-1))

    assert error(df.euler, 20) / error(df.euler, 40) == pytest.approx(2, rel=0.1)
    assert error(df.heun, 20) / error(df.heun, 40) == pytest.approx(4, rel=0.1)


# ---------------------------------------------------------------- one step back


@pytest.mark.parametrize("path", ["chain", "straight"])
@pytest.mark.parametrize("times", [(0.5, 0.495), (0.9, 0.1)])
def test_posterior_is_bayes(df, path: str, times: tuple):
    """Simulate (x_s, x_t) forwards; the regression of x_s on x_t is the posterior."""
    torch.manual_seed(0)
    path, (t, s) = getattr(df, path), torch.tensor(times).double()
    (alpha_t, sigma_t), (alpha_s, sigma_s) = path(t), path(s)
    a, n = alpha_t / alpha_s, 400_000
    x_s = alpha_s * 0.7 + sigma_s * torch.randn(n).double()
    x_t = a * x_s + (sigma_t**2 - a**2 * sigma_s**2).sqrt() * torch.randn(n).double()
    assert x_t.mean().item() == pytest.approx(0.7 * alpha_t.item(), abs=0.01)
    assert x_t.std().item() == pytest.approx(sigma_t.item(), rel=0.01)
    mean, variance = df.posterior(x_t, 0.7, t, s, path)
    residual = x_s - mean
    assert residual.var().item() == pytest.approx(variance.item(), rel=0.02)
    assert abs((residual * (x_t - x_t.mean())).mean()) < 0.01


def test_the_last_step_adds_no_noise_and_gives_the_guess(df):
    x_t, x_hat = torch.randn(2, 20).double()
    t, s = torch.tensor([1 / df.T, 0.0]).double()
    mean, variance = df.posterior(x_t, x_hat, t, s)
    assert variance == 0
    assert torch.allclose(mean, x_hat)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_keeps_the_marginals_whatever_eta(df, eta: float):
    torch.manual_seed(0)
    t, s = torch.tensor([0.8, 0.3]).double()
    (alpha_t, sigma_t), (alpha_s, sigma_s) = df.chain(t), df.chain(s)
    x_0 = torch.full((300_000,), 0.4).double()
    x_t = alpha_t * x_0 + sigma_t * torch.randn_like(x_0)
    mean, tau2 = df.ddim_step(x_t, x_0, t, s, eta)
    x_s = mean + tau2.sqrt() * torch.randn_like(x_0)
    assert x_s.mean().item() == pytest.approx((0.4 * alpha_s).item(), abs=0.01)
    assert x_s.std().item() == pytest.approx(sigma_s.item(), rel=0.01)


def test_eta_one_is_ddpm(df):
    x_t, x_hat = torch.randn(2, 20).double()
    t, s = torch.tensor([0.6, 0.5]).double()
    for a, b in zip(
        df.ddim_step(x_t, x_hat, t, s, 1.0), df.posterior(x_t, x_hat, t, s), strict=True
    ):
        assert torch.allclose(a, b)
    assert df.ddim_step(x_t, x_hat, t, s, 0.0)[1] == 0


def test_ddim_clips_its_guess_and_repeats_itself(df):
    z = torch.randn(4, 1, 4, 4)
    x = df.ddim(lambda x_t, t: torch.zeros_like(x_t), z, 10, limit=1)
    assert x.abs().max() <= 1
    assert torch.equal(x, df.ddim(lambda x_t, t: torch.zeros_like(x_t), z, 10, limit=1))


# ---------------------------------------------------------------- training and guidance


def test_hidden_labels_are_ten(df):
    torch.manual_seed(0)
    label = torch.arange(10).repeat(1000)
    hidden = df.hide(label)
    share = (hidden == 10).double().mean().item()
    assert share == pytest.approx(0.1, abs=0.02)
    assert torch.equal(hidden[hidden < 10], label[hidden < 10])


class Knows(nn.Module):
    """Answers as the best network for images that are all alike."""

    def __init__(self, df, kind: str, x_0: Tensor) -> None:
        super().__init__()
        self.df, self.kind, self.x_0 = df, kind, x_0

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        path = self.df.chain if self.kind == "noise" else self.df.straight
        alpha, sigma = (self.df.spread(v, x_t) for v in path(t))
        epsilon = (x_t - alpha * self.x_0) / sigma
        return epsilon if self.kind == "noise" else epsilon - self.x_0


@pytest.mark.parametrize("kind", ["noise", "velocity"])
def test_losses_vanish_for_whoever_knows_the_image(df, kind: str):
    torch.manual_seed(0)
    x_0 = torch.full((50, 1, 4, 4), 0.3)
    loss = getattr(df, f"{kind}_loss")
    label = torch.zeros(50).long()
    assert loss(Knows(df, kind, x_0), x_0, label) < 1e-5
    assert loss(Knows(df, kind, x_0 + 0.5), x_0, label) > 1e-3


@pytest.mark.parametrize("bend", [0.0, 0.5])
def test_batches_lie_between_minus_one_and_one(df, bend: float):
    torch.manual_seed(0)
    images, label = torch.rand(20, 1, 28, 28), torch.arange(20)
    x, told = df.batch(images, label, 8, bend)
    assert x.shape == (8, 1, 28, 28)
    assert x.min() >= -1
    assert x.max() <= 1
    assert x.min() < -0.5
    same = torch.isclose((x + 1) / 2, images[told]).all()
    assert same == (bend == 0)
    as_bytes, _ = df.batch((images * 255).to(torch.uint8), label, 8, 0)
    assert as_bytes.min() >= -1
    assert as_bytes.max() <= 1
    assert as_bytes.max() > 0.5


def test_guidance_is_a_line_through_both_answers(df):
    network, x, t = trained_like(10), torch.rand(3, 1, 8, 8), torch.tensor(0.5)
    label = torch.tensor([1, 2, 3])
    free, by_label, strong = (df.told(network, label, w)(x, t) for w in (0.0, 1.0, 3.0))
    assert torch.equal(free, network(x, t.expand(3)))
    assert torch.equal(by_label, network(x, t.expand(3), label))
    assert torch.allclose(strong, free + 3 * (by_label - free), atol=1e-5)


def test_a_velocity_gives_the_noise_on_the_other_path(df):
    x_0, epsilon = torch.randn(2, 20, 3).double()
    for t in (0.1, 0.5, 1.0):
        t = torch.tensor(t).double()
        x_t = df.mix(x_0, epsilon, t.expand(20), df.chain)
        seen = []

        def velocity(x: Tensor, time: Tensor, seen: list = seen) -> Tensor:
            seen.append((x, time))
            return epsilon - x_0

        assert torch.allclose(df.as_noise(velocity)(x_t, t), epsilon)
        x, time = seen[0]  # what the network was shown lies on the straight path
        assert torch.allclose(x, df.mix(x_0, epsilon, time.expand(20), df.straight))


def test_every_sampler_can_be_called_alike(df):
    z = torch.randn(4, 1, 4, 4)
    for walk in df.samplers().values():
        assert walk(lambda x_t, t: x_t, z, steps=3).isfinite().all()
    assert set(df.COUNTS) == set(df.samplers())


def test_the_last_step_leaps(df):
    z, seen = torch.randn(5, 2).double(), []

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(t.item())
        return x_t * t

    df.leaping_euler(predict, z, 10, tau=0.4)
    assert seen == pytest.approx(torch.linspace(1, 0.4, 10).tolist())
    equal = df.leaping_euler(predict, z, 10, tau=0.1)
    assert torch.allclose(equal, df.euler(predict, z, 10))
    once = df.leaping_euler(predict, z, 1)
    assert torch.allclose(once, df.euler(predict, z, 1))


def test_a_leap_lands_on_the_guess(df):
    x_0, z = torch.full((5, 2), 0.3).double(), torch.randn(5, 2).double()
    assert torch.allclose(df.leaping_euler(lambda x_t, t: (x_t - x_0) / t, z, 4), x_0)


def test_dice_leave_the_last_step_alone(df):
    """With a network that knows x_0 every noisy walk ends exactly there."""
    x_0 = torch.full((5, 2), 0.3).double()
    z = torch.randn(5, 2).double()
    x = df.noisy_walk(lambda x_t, t: (x_t - x_0) / t, z, 7)
    assert torch.allclose(x, x_0)


def test_the_exact_minimiser_copies(df):
    torch.manual_seed(0)
    images = 2 * torch.rand(7, 1, 4, 4).double() - 1
    x = df.euler(df.empirical(images), torch.randn(30, 1, 4, 4).double(), 50)
    assert torch.cdist(x.flatten(1), images.flatten(1)).min(1).values.max() < 1e-3
    one = df.empirical(images[:1])(x, torch.tensor(0.4))  # a single image: known at once
    assert torch.allclose(one, (x - images[:1]) / 0.4)


# ---------------------------------------------------------------- what is shipped


def test_shipped_flow_draws_the_digit_it_is_told(df, flow):
    x = df.draw(flow, partial(df.euler, steps=10), 300)
    assert x.shape == (300, 1, 28, 28)
    assert x.min() >= 0
    assert x.max() <= 1
    right = (digit_classes(x) == torch.arange(300) % 10).double().mean()
    assert right > 0.9


def test_a_number_of_the_card_is_found_again(df, flow):
    card = load_weights("flow_generator", flow)
    real = digit_features(digits("test")[0])
    x = df.draw(flow, partial(df.euler, steps=4), 1000)
    anew = frechet_distance(digit_features(x), real)
    assert anew == pytest.approx(card["score"]["Euler, 4"], rel=0.1)


def test_the_page_gets_what_the_notebook_has(df, flow):
    page = df.DigitFlow(classes=10).requires_grad_(False)
    page.load_state_dict(flow.state_dict())
    x, t, label = torch.randn(3, 1, 28, 28), torch.rand(3), torch.tensor([0.2, 6.8, 10.0])
    assert torch.equal(page(x, t, label), flow(x, t, torch.tensor([0, 7, 10])))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_full_scale_runs_small_on_the_cpu(df, name: str):
    channels, side = (1, 28) if name == "mnist" else (3, 32)
    images = (torch.rand(70, channels, side, side) * 255).to(torch.uint8)
    sets = images, torch.arange(70) % 10
    measured = df.at_full_scale(name, sets, sets, CPU, steps=2, w=8, n=4)
    assert measured["loss"] > 0
    assert measured["seconds"] > 0
    assert ("FD" in measured) == (name == "mnist")


def test_recipe_makes_a_card(df, monkeypatch, tmp_path):
    monkeypatch.setattr(df, "WEIGHTS", tmp_path)
    monkeypatch.setattr(df, "by_steps", lambda *_: {"Euler, 1": 1.0})
    network = df.DigitFlow(classes=10)
    card = df.recipe("flow_generator", network, steps=2, n=100)
    assert card["score"]["FD"] > 0
    assert card["build"].startswith("DigitFlow")
    assert set(card["export"]) == {"task", "inputs", "outputs"}
