"""The definitions of chapter 05_cnn, taken from the notebook without running it.

Among them is the part that only a GPU runs at its full size: here it runs small, on the CPU.
"""

from __future__ import annotations

import itertools
import math
import signal
from types import ModuleType

import pytest
import torch
from nbsource import definitions, find
from torch import nn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cnn() -> ModuleType:
    return definitions(find("05_cnn"))


@pytest.fixture(scope="module")
def digit_set(cnn) -> tuple:
    return cnn.digits("train")


def test_networks_have_the_shapes_they_state(cnn):
    y = torch.rand(2, 3, 32, 32)
    assert cnn.Classifier(w=4)(y).shape == (2, 10)
    assert cnn.CNN()(y).shape == (2, 10)
    assert cnn.resnet9(w=4)(y).shape == (2, 10)
    for head in ("flatten", "average"):
        assert cnn.small_network(head)(torch.rand(2, 1, 40, 40)).shape == (2, 10)
    assert cnn.Denoiser(w=4)(torch.rand(2, 1, 30, 44)).shape == (2, 1, 30, 44)
    unblend = cnn.Denoiser(w=4, channels=3).noise
    assert unblend(torch.rand(2, 3, 32, 32)).shape == (2, 1, 32, 32)
    assert cnn.BlurPool()(torch.rand(2, 5, 16, 16)).shape == (2, 5, 8, 8)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (4, {}),
        (4, {"stride": 2, "padding": 1}),
        (4, {"padding": 2}),
        (3, {"stride": 2, "padding": 1, "left": 1}),  # its places end a row before the image
    ],
)
def test_the_adjoint_of_a_convolution(cnn, kernel: int, options: dict):
    torch.manual_seed(0)
    A = cnn.Convolution(torch.randn(6, 3, kernel, kernel), **options)
    assert A.adjoint(A(torch.rand(2, 3, 32, 32))).shape == (2, 3, 32, 32)
    assert cnn.adjoint_error(A, (2, 3, 32, 32)) < 1e-5


def test_blur_pool_keeps_what_is_constant(cnn):
    x = torch.full((1, 2, 8, 8), 0.7)
    assert cnn.BlurPool()(x)[..., 1:, 1:].allclose(x[..., 1:4, 1:4])


def test_blends_are_images(cnn, digit_set):
    torch.manual_seed(0)
    photos = cnn.photographs("train")
    for make in (cnn.blends, cnn.visitors):
        y, label = make(*digit_set, photos)(40)
        assert y.shape == (40, 3, 32, 32)
        assert 0 <= y.min() <= y.max() <= 1
        assert label.shape == (40,)
        assert label.min() >= 0
        assert label.max() <= 9


def test_place_keeps_every_digit_whole(cnn, digit_set):
    x = digit_set[0][:50]
    placed = cnn.place(x)
    assert placed.shape == (50, 1, 32, 32)
    assert placed.sum((1, 2, 3)).allclose(x.sum((1, 2, 3)))


def test_the_test_images_are_fixed_and_held_out(cnn, monkeypatch):
    """They ask for test digits and test photographs only, and leave the random numbers alone."""
    asked = []
    for name in ("digits", "photographs"):
        load = getattr(cnn, name)

        def spy(split, load=load, name=name):
            asked.append((name, split))
            return load(split)

        monkeypatch.setattr(cnn, name, spy)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    y, label = cnn.blended_test()
    assert torch.equal(torch.get_rng_state(), state)
    assert asked == [("digits", "test"), ("photographs", "test")]
    assert y.shape == (2000, 3, 32, 32)
    assert torch.equal(label[:1000], label[1000:])
    assert torch.equal(cnn.blended_test()[0], y)


def test_training_photographs_are_none_of_the_test(cnn):
    assert not set(cnn.photographs("train")) & set(cnn.photographs("test"))


def test_blends_keep_labels_with_their_digits(cnn, monkeypatch):
    """Over black paper, and undistorted, each image is the digit that its label says."""
    monkeypatch.setattr(cnn, "random_affine", lambda x, **_: x)
    x = (torch.arange(10.0) / 10).view(10, 1, 1, 1).expand(10, 1, 28, 28).contiguous()
    torch.manual_seed(0)
    y, label = cnn.blends(x, torch.arange(10), {"black": torch.zeros(3, 40, 40)})(50)
    assert y[:, 0, 16, 16].allclose(label / 10)


def test_training_changes_the_network_and_resumes(cnn, digit_set, tmp_path):
    """A run that is interrupted after step 4 ends where an uninterrupted one does."""
    draw = cnn.blends(*digit_set, cnn.photographs("train"))

    def run(source=draw, **options) -> nn.Module:
        torch.manual_seed(0)
        network = cnn.Classifier(w=4)
        cnn.train_classifier(network, source, 8, batch=8, **options)
        return network

    calls = []

    def interrupted(n: int) -> tuple:
        calls.append(n)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)  # noted; the step ends, and is saved
        return draw(n)

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, checkpoint=tmp_path / "part")
    assert len(calls) == 4
    left = []

    def rest(n: int) -> tuple:
        left.append(n)
        return draw(n)

    again = run(rest, checkpoint=tmp_path / "part")
    assert len(left) == 4
    for p, q in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(p, q)
    torch.manual_seed(0)
    start = cnn.Classifier(w=4)
    assert not torch.equal(start.head.weight, whole.head.weight)


def test_field_of_two_layers(cnn):
    assert cnn.field((3, 1), (3, 1)) == 5
    assert cnn.field((3, 2), (3, 1)) == 7


def test_the_measured_field_is_the_predicted_one(cnn):
    torch.manual_seed(0)
    for depth in (1, 3, 6):
        power = cnn.influence(cnn.plain(depth), 3, side=24)
        assert cnn.extent(power) == cnn.field(*[(3, 1)] * depth)


def test_calibration_of_a_perfect_and_of_a_vain_classifier(cnn):
    label = torch.arange(1000) % 10
    sure = 50 * torch.nn.functional.one_hot(label, 10).float()
    assert cnn.calibration_error(sure, label)[0] == pytest.approx(0, abs=1e-6)
    wrong = sure.roll(1, 1)
    assert cnn.calibration_error(wrong, label)[0] == pytest.approx(1, abs=1e-6)
    half = torch.where(torch.arange(1000)[:, None] % 2 == 0, sure, wrong)
    assert cnn.calibration_error(half, label)[0] == pytest.approx(0.5, abs=1e-6)
    assert cnn.temperature(half, label) > 5


def test_the_attack_raises_the_loss(cnn):
    torch.manual_seed(0)
    network, y, label = cnn.Classifier(w=4), torch.rand(6, 3, 32, 32), torch.arange(6)
    signs = cnn.steepest(network, y, label)
    assert set(signs.unique().tolist()) <= {-1.0, 0.0, 1.0}
    loss = [cnn.F.cross_entropy(network(y + e * signs), label).item() for e in (0, 1e-3)]
    assert loss[1] > loss[0]


def test_methods_leave_no_gradients_behind(cnn):
    network, y = cnn.Classifier(w=4), torch.rand(3, 3, 32, 32)
    cnn.saliency(network, y)
    cnn.grad_cam(network, y)
    cnn.steepest(network, y, torch.arange(3))
    assert all(p.grad is None for p in network.parameters())
    assert not y.requires_grad


def test_rank_correlation(cnn):
    a = torch.rand(4, 1, 8, 8)
    assert cnn.rank_correlation(a, a.exp()) == pytest.approx(1)
    assert cnn.rank_correlation(a, -a) == pytest.approx(-1)
    assert abs(cnn.rank_correlation(a, torch.rand(4, 1, 8, 8))) < 0.4


def test_inverting_alone_is_inverting_in_a_batch(cnn, monkeypatch):
    """In double precision, and a few steps only: rounding grows from step to step."""
    torch.manual_seed(0)
    network = cnn.Classifier(w=4).requires_grad_(False).double()
    monkeypatch.setattr(cnn, "shipped", network, raising=False)
    y = torch.rand(4, 3, 32, 32).double() * torch.tensor([0.2, 0.5, 0.8, 1]).view(4, 1, 1, 1)
    together = cnn.invert(6, y, steps=4)
    alone = torch.cat([cnn.invert(6, part, steps=4) for part in y.split(1)])
    assert (together - alone).abs().max() < 1e-3
    assert (together - 0.5).abs().max() > 0.05


def test_gram_is_the_mean_product(cnn):
    torch.manual_seed(0)
    h = torch.randn(2, 3, 4, 5)
    G = cnn.gram(h)
    for n, m, k in itertools.product(range(2), range(3), range(3)):
        expected = sum(h[n, m, i, j] * h[n, k, i, j] for i in range(4) for j in range(5)) / 20
        assert G[n, m, k].item() == pytest.approx(expected.item(), abs=1e-5)


def test_maps_have_the_size_of_the_image(cnn):
    network, y = cnn.Classifier(w=4), torch.rand(3, 3, 32, 32)
    for method in (cnn.saliency, cnn.grad_cam):
        found = method(network, y)
        assert found.shape == (3, 1, 32, 32)
        assert found.min() >= 0


def test_texture_distance_ignores_where_things_are(cnn):
    torch.manual_seed(0)
    phi, x = cnn.RandomFeatures(), cnn.photographs("train", grey=True)["gravel"][None, :, :96, :96]
    assert cnn.texture_distance(phi, x, x) == 0
    shuffled = x.flatten()[torch.randperm(96 * 96)].view_as(x)
    moved = cnn.texture_distance(phi, x.roll((16, 24), (2, 3)), x)
    assert moved < 0.1 * cnn.texture_distance(phi, shuffled, x)


@pytest.mark.parametrize("mixed", [False, True])
def test_full_scale_learns_what_is_easy(cnn, monkeypatch, mixed: bool):
    """As on a GPU: bytes in, mixed precision, crop, mirror and cutout; one colour a class."""
    entered = []

    def counted(device: torch.device):
        entered.append(device)
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed)

    def gentle(*given, lr: float, batch: int):
        return usual(*given, lr=lr * batch / 512, batch=batch)  # the rate is for batches of 512

    usual = cnn.train_classifier
    monkeypatch.setattr(cnn, "autocast", counted)
    monkeypatch.setattr(cnn, "train_classifier", gentle)
    torch.manual_seed(0)
    label = torch.arange(40) % 4
    colours = torch.tensor([[220, 20, 20], [20, 220, 20], [20, 20, 220], [200, 200, 200]])
    images = colours[label].to(torch.uint8)[:, :, None, None].expand(40, 3, 32, 32)
    images = images + torch.randint(0, 30, (40, 3, 32, 32), dtype=torch.uint8)
    share = cnn.at_full_scale((images, label), (images, label), CPU, steps=60, batch=16, w=4)
    assert len(entered) == 60
    assert share > 0.5


def test_varied_cuts_and_keeps_the_range(cnn):
    torch.manual_seed(0)
    images = torch.full((4, 3, 32, 32), 255, dtype=torch.uint8)
    y, _ = cnn.varied(images, torch.zeros(4).long())(16)
    assert y.shape == (16, 3, 32, 32)
    assert y.min() == 0  # the square cut out
    assert math.isclose(y.max().item(), 1)
    assert 0.9 < y.mean() < 1
    cut_away = (y[:, 0] == 0).sum((1, 2))
    assert cut_away.max() <= 64
    assert cut_away.min() >= 16  # a corner of the square at least


def test_varied_cuts_whole_squares(cnn):
    """Somewhere among many draws the whole square of 8 x 8 lies inside."""
    torch.manual_seed(1)
    images = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    y, _ = cnn.varied(images, torch.zeros(1).long())(64)
    assert (y[:, 0] == 0).sum((1, 2)).max() == 64
