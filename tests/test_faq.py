"""The definitions of chapter 08_faq, taken from the notebook without running it."""

from __future__ import annotations

import math
import re
from types import ModuleType

import pytest
import torch
from helpers.data import digits
from helpers.denoiser import Denoiser
from helpers.physics import Mask, Radon, adjoint_error, poisson
from helpers.training import load_weights
from nbsource import code_cells, definitions, find, read
from torch import nn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fq() -> ModuleType:
    chapter = definitions(find("08_faq"))
    chapter.x_train, chapter.label_train = digits("train")  # what cells set that are not run here
    chapter.x_test, chapter.label_test = digits("test")
    chapter.denoiser = Denoiser().requires_grad_(False)
    load_weights("denoiser_sigma25", chapter.denoiser)
    chapter.t = torch.linspace(-8, 8, 801)
    chapter.noise = 0.5
    return chapter


@pytest.mark.parametrize("decibels", [15.0, 22.0, 30.0])
def test_at_psnr_finds_the_strength(fq, decibels: float):
    torch.manual_seed(0)
    x = torch.rand(1, 1, 32, 32)
    found = fq.at_psnr(lambda x, s: x * (1 - s), x, decibels, 0, 1)
    assert fq.psnr(found, x).item() == pytest.approx(decibels, abs=1e-3)


def test_the_judge_learns_and_is_fooled(fq):
    torch.manual_seed(0)
    D = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    fake = torch.rand(16, 1, 28, 28)
    before = fake.clone()
    fq.see_through(D, fake)
    assert torch.equal(fake, before), "the judge does not touch the images"
    assert torch.sigmoid(D(fake)).mean() < 0.2
    weights = [p.clone() for p in D.parameters()]
    fooled = fq.fool(D, fake)
    assert torch.sigmoid(D(fooled)).mean() > 0.8
    assert all(torch.equal(a, b) for a, b in zip(weights, D.parameters(), strict=True))
    assert fooled.min() >= 0
    assert fooled.max() <= 1


def test_kl_of_two_gaussians_is_the_formula(fq):
    p, q = fq.normal(0.5, 0.7), fq.normal(-0.5, 1.1)
    formula = math.log(1.1 / 0.7) + (0.7**2 + 1.0**2) / (2 * 1.1**2) - 0.5
    assert fq.kl(p, q).item() == pytest.approx(formula, abs=1e-3)
    assert fq.kl(p, p).item() == pytest.approx(0, abs=1e-6)
    assert fq.normal(0.5, 0.7).sum().item() * 0.02 == pytest.approx(1, abs=1e-4)


def test_convolutional_share_counts_numbers(fq):
    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Flatten(), nn.Linear(6, 1))
    assert fq.convolutional_share(network) == pytest.approx(18 / 25)
    assert fq.convolutional_share(nn.Linear(3, 1)) == 0


def test_in_the_dark_a_flat_image_stays_as_bright_as_it_is(fq):
    torch.manual_seed(0)
    x = torch.full((1, 1, 64, 64), 0.6)
    x_hat = fq.see_in_the_dark(poisson(x, 20), 20)
    assert x_hat.mean().item() == pytest.approx(0.6, abs=0.03)
    assert x_hat.std() < 0.03


def test_judge_cannot_tell_equal_sets_and_tells_distant_ones(fq):
    torch.manual_seed(0)
    real, same = torch.randn(2, 2000, 64)
    seen, fresh = fq.judge(real, same, steps=100)
    assert seen < fresh, "it learns by heart"
    assert fresh > 0.97 * math.log(4)
    assert fq.judge(real, same + 1, steps=100)[1] < 0.3


def test_detail_is_the_mean_square_difference(fq):
    x = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert fq.detail(x) == pytest.approx(1)
    assert fq.detail(torch.full((2, 1, 5, 5), 0.3)) == pytest.approx(0)


def test_the_gpu_function_runs_small_on_the_cpu(fq):
    found = fq.at_full_scale(CPU, n=1, side=16, steps=1)
    assert set(found) == {"seconds a step", "multiply-adds a second"}
    work = found["seconds a step"] * found["multiply-adds a second"]
    assert work == pytest.approx(3 * fq.multiply_adds(Denoiser(), torch.rand(1, 1, 16, 16)))


def test_the_gpu_function_wants_a_step(fq):
    with pytest.raises(ValueError, match="at least one step"):
        fq.at_full_scale(CPU, n=1, side=16, steps=0)


def test_the_grid_of_the_densities_is_not_set_again():
    """`kl` and `normal` use t, m and s of the notebook: no later cell may set them anew."""
    lines = [
        line
        for cell in code_cells(read(find("08_faq")))
        for line in cell.source.splitlines()
        if re.match(r"(t|m|s|m, s)\s*=", line)
    ]
    assert len(lines) == 2, lines


def test_mistakes_fall_with_more_digits(fq):
    torch.manual_seed(0)
    few, many = (fq.mistakes(N, False, steps=60) for N in (10, 4000))
    assert many < few - 0.1
    assert 0 <= fq.mistakes(40, True, steps=2) <= 1


def test_upper_is_what_a_mask_of_the_upper_half_measures(fq):
    x = fq.x_test[:3]
    mask = torch.zeros(28, 28)
    mask[:14] = 1
    assert torch.equal(fq.upper(x), Mask(mask)(x).flatten(1))


def test_gradient_descent_converges_below_two_over_l_only(fq):
    M, target = torch.zeros(5, 20), torch.ones(5)
    M[0, 0], M[1, 1] = 2.0, 1.0
    fq.M, fq.target = M, target
    least = 3 / 2  # three rows of zeros cannot be fitted
    assert fq.run(1.9 / 4, 300) == pytest.approx(least, abs=1e-3)
    with pytest.raises(FloatingPointError, match="learning rate"):
        fq.run(2.5 / 4, 800)


def test_trained_repeats_and_differs_by_seed(fq):
    (w, score), (again, same), (other, _) = fq.trained(3), fq.trained(3), fq.trained(4)
    assert torch.equal(w, again)
    assert score == same > 0.8
    assert not torch.equal(w, other)


def test_batch_normalisation_in_training_depends_on_company(fq):
    fq.order = fq.label_test.argsort()
    assert fq.right(False, 1000) > 0.985
    assert fq.right(True, 10) < fq.right(False, 10)


def test_from_library_is_the_posterior_mean(fq):
    library = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 8, 8)
    assert torch.allclose(fq.from_library(library, library, 0.1), library, atol=1e-6)
    middle = torch.full((1, 1, 8, 8), 0.5)
    assert torch.allclose(fq.from_library(middle, library, 0.1), middle)
    one = 0.5 + torch.zeros(1, 1, 8, 8)
    one[..., 0, 0] += 0.01  # the log of the odds is 2 * 0.01 / (2 * 0.1 ** 2) = 1
    wanted = 1 / (1 + math.exp(-1))
    assert fq.from_library(one, library, 0.1)[0, 0, 3, 3].item() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("s", [0.0, 0.7, 5.0])
def test_with_guess_is_linear_with_its_adjoint(fq, s: float):
    torch.manual_seed(0)
    A = fq.WithGuess(Radon((6, 8), torch.tensor([0.0, 40.0, 90.0])), s)
    assert adjoint_error(A, (2, 1, 6, 8)) < 1e-5
    x = torch.rand(1, 1, 6, 8)
    assert torch.allclose(A(x)[..., -48:], s * x.flatten(2))


def test_both_leans_on_the_guess_as_its_error_says(fq):
    torch.manual_seed(0)
    A = fq.A = Radon((28, 28), torch.tensor([0.0, 45.0, 90.0, 135.0]))
    x = fq.x_test[:4]
    y = fq.measure(x, 0)
    fq.learned = lambda y: torch.full((len(y), 1, 28, 28), 0.25)
    apart = []
    for s in (0.1, 100.0):
        fq.weight_of_guess = s
        apart.append((fq.both(y, lam=0.01) - 0.25).abs().mean().item())
    assert apart[1] < 0.01 < apart[0]
    assert fq.misfit(x, y) == pytest.approx(1, abs=0.15)
    assert fq.misfit(0 * x, y) > 3
    assert torch.equal(fq.measure(x, 0), y)
    assert not torch.equal(fq.measure(x, 1), y)
    assert (fq.measure(x, 1) - A(x)).std().item() == pytest.approx(0.5, abs=0.06)


def test_at_infinity_removes_one_over_n(fq):
    fq.counts = (100, 200, 400, 800)
    assert fq.at_infinity([3 + 500 / N for N in fq.counts]) == pytest.approx(3, abs=1e-4)
