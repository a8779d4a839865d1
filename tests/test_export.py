"""Shipped weights, their cards, the exported models and the manifest belong together.

`faults_of` looks at a whole house; the same function runs on this one and on a toy house in a
temporary folder, in which one thing after another is spoilt.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat.v4 as v4
import nbsource
import pytest
import torch
from execute import dumps
from export import (
    MANIFEST_FIELDS,
    build,
    cards,
    differences,
    export,
    sample,
    sha256,
    without_sparse,
)
from helpers.physics import Radon, SparseOperator
from nbsource import ROOT, read
from safetensors.torch import load_file, save_file

LIMIT = 60e6  # bytes of weights and models together, which every reader clones


def faults_of(root: Path) -> list[str]:
    """What is wrong with the weights and the exported models of the house at `root`."""
    models, weights = root / "book" / "_static" / "models", root / "notebooks" / "weights"
    manifest, faults, wanted = models / "manifest.json", [], {}
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else []
    try:
        for card in cards(root):
            network = build(card, root)
            if card["export"] is not None:
                wanted[card["name"]] = card, network
    except Exception as error:
        return [f"cards: {type(error).__name__}: {error}"]
    if set(wanted) != {entry["name"] for entry in entries}:
        faults.append(f"the manifest lists {[e['name'] for e in entries]}, cards {list(wanted)}")
    if {path.name for path in models.glob("*.onnx")} != {entry["file"] for entry in entries}:
        faults.append("the .onnx files are not those of the manifest")
    for entry in entries:
        faults += [f"{entry['file']}: {fault}" for fault in faults_of_model(entry, wanted, models)]
    files = [*weights.glob("*"), *models.glob("*")]
    if (size := sum(file.stat().st_size for file in files if file.is_file())) > LIMIT:
        faults.append(f"weights and models take {size / 1e6:.0f} MB, {LIMIT / 1e6:.0f} are allowed")
    return faults


def faults_of_model(entry: dict, wanted: dict, models: Path) -> list[str]:
    """Where an entry of the manifest, its file, its card and its network disagree."""
    file = models / entry["file"]
    if set(entry) != MANIFEST_FIELDS:
        return [f"fields {set(entry) ^ MANIFEST_FIELDS} missing or unknown"]
    if entry["name"] not in wanted or not file.is_file():
        return ["no card asks for it, or it is not there"]
    if sha256(file) != entry["sha256"]:
        return ["its sha256 is not the manifest's"]
    card, network = wanted[entry["name"]]
    if entry | of_card(card) != entry:
        return ["the manifest does not say what the card says"]
    return differences(file, network, entry["inputs"], entry["outputs"])


def of_card(card: dict) -> dict:
    """What a manifest's entry takes over from the card."""
    names = {"trained_on": "data", "device": "machine", "metrics": "score", "seconds": "seconds"}
    ports = {key: value for key, value in card["export"].items() if key != "call"}
    return {ours: card[theirs] for ours, theirs in names.items()} | ports


def test_this_house_is_in_order():
    assert faults_of(ROOT) == []


# ---------------------------------------------------------------- a toy house

TOY = """
import torch
from torch import nn
size = 3
class Upscale(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(1, size ** 2, 3, padding=1), nn.PixelShuffle(size))
    def forward(self, y):
        return torch.sigmoid(self.main(y)), y.mean((1, 2, 3))
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A house with one notebook, its weights, their card and the exported model."""
    root = tmp_path_factory.mktemp("toy")
    weights = root / "notebooks" / "weights"
    models = root / "book" / "_static" / "models"
    weights.mkdir(parents=True)
    models.mkdir(parents=True)
    cells = [v4.new_code_cell(TOY), v4.new_code_cell("raise SystemExit  # is never executed")]
    notebook = root / "notebooks" / "toy.ipynb"
    notebook.write_text(dumps(v4.new_notebook(cells=cells)), encoding="utf-8")
    torch.manual_seed(0)
    network = nbsource.definitions(notebook).Upscale()
    save_file(network.state_dict(), weights / "toy_x3.safetensors")
    card = {
        "name": "toy_x3", "notebook": "toy", "build": "Upscale()", "data": "noise",
        "recipe": "none", "steps": 0, "seconds": 0.0, "machine": "2 cores", "date": "2025-01-01",
        "score": {"psnr": 1.0}, "torch": torch.__version__,
        "export": {
            "task": "super-resolution",
            "inputs": [{"name": "y", "shape": ["N", 1, "H", "W"], "range": [0, 1]}],
            "outputs": [
                {"name": "x", "shape": ["N", 1, "3H", "3W"], "range": [0, 1]},
                {"name": "mean", "shape": ["N"], "range": [0, 1]},
            ],
        },
    }  # fmt: skip
    (weights / "toy_x3.json").write_text(json.dumps(card), encoding="utf-8")
    (weights / "gpu").mkdir()
    (weights / "gpu" / "toy.json").write_text("{}", encoding="utf-8")  # GPU records: no cards
    entry = export(card, models, root)
    (models / "manifest.json").write_text(json.dumps([entry]), encoding="utf-8")
    return root


@pytest.fixture
def house(toy: Path, tmp_path: Path) -> Path:
    """A copy of the toy house, to be spoilt."""
    return shutil.copytree(toy, tmp_path / "house")


def edit(path: Path, change) -> None:
    held = json.loads(path.read_text(encoding="utf-8"))
    change(held)
    path.write_text(json.dumps(held), encoding="utf-8")


def spoil_weight(house: Path) -> None:
    path = house / "notebooks" / "weights" / "toy_x3.safetensors"
    tensors = load_file(path)
    save_file({name: tensor + 0.01 for name, tensor in tensors.items()}, path)


CARD, MANIFEST = "notebooks/weights/toy_x3.json", "book/_static/models/manifest.json"
FAULTS = {
    "sha256": lambda h: edit(h / MANIFEST, lambda m: m[0].update(sha256="0" * 64)),
    "differs from PyTorch's": spoil_weight,
    "fields {'note'}": lambda h: edit(h / MANIFEST, lambda m: m[0].update(note="more")),
    "declared are": lambda h: edit(h / MANIFEST, lambda m: declare(m, h, "shape", [1, 1, 8, 8])),
    "values outside": lambda h: edit(h / MANIFEST, lambda m: declare(m, h, "range", [0, 0.1])),
    "does not say what the card": lambda h: edit(h / MANIFEST, lambda m: m[0].update(seconds=9)),
    "the manifest lists": lambda h: (h / MANIFEST).write_text("[]"),
    "are not those of the manifest": lambda h: (h / MANIFEST).with_name("old.onnx").touch(),
    "no card": lambda h: (h / CARD).unlink(),
    "no weights": lambda h: (h / CARD).with_suffix(".safetensors").unlink(),
    "missing or unknown": lambda h: edit(h / CARD, lambda card: card.pop("recipe")),
    "its name is": lambda h: edit(h / CARD, lambda card: card.update(name="other")),
    "NameError": lambda h: edit(h / CARD, lambda card: card.update(build="Gone()")),
    "are allowed": lambda h: (h / CARD).with_name("big").write_bytes(bytes(60_000_000)),
}


def declare(manifest: list, house: Path, field: str, value: object) -> None:
    """Says something else of the first output, in the manifest and on the card."""
    manifest[0]["outputs"][0][field] = value
    edit(house / CARD, lambda card: card["export"]["outputs"][0].update({field: value}))


def test_the_toy_house_is_in_order(house):
    assert faults_of(house) == []


@pytest.mark.parametrize("said", FAULTS)
def test_a_spoilt_house_is_found_out(house, said):
    FAULTS[said](house)
    assert said in "; ".join(faults_of(house))


def test_the_same_weights_give_the_same_file_without_a_trace_of_this_machine(house):
    model = house / "book" / "_static" / "models" / "toy_x3.onnx"
    before = model.read_bytes()
    export(cards(house)[0], model.parent, house)
    assert model.read_bytes() == before
    assert str(ROOT).encode() not in before
    assert b".py" not in before
    assert not list(model.parent.glob("*.data"))


def test_sample_keeps_to_the_declared_range_and_sizes():
    ports = [
        {"name": "y", "shape": ["N", 1, "H", "W"], "range": [-1, 3]},
        {"name": "z", "shape": ["N", 64], "range": None},
    ]
    y, z = sample(ports, batch=5)
    assert y.shape[:2] == (5, 1)
    assert y.shape[2] != y.shape[3]
    assert z.shape == (5, 64)
    assert -1 <= y.min() < -0.9 < 2.9 < y.max() <= 3
    assert z.min() < -2


def test_definitions_names_the_cell_that_needs_more_than_it_may(tmp_path):
    path = tmp_path / "toy2.ipynb"
    cells = [v4.new_code_cell("n = len('abc')"), v4.new_code_cell("def f(k=n):\n    return k")]
    path.write_text(dumps(v4.new_notebook(cells=cells)), encoding="utf-8")
    assert len(read(path).cells) == 2
    with pytest.raises(NameError, match="code cell 2"):
        nbsource.definitions(path)


class Refine(torch.nn.Module):
    """A network that holds a Radon transform at two depths."""

    def __init__(self):
        super().__init__()
        self.A = Radon((9, 12), torch.tensor([0.0, 35.0, 90.0, 140.0]), detectors=11)
        self.inner = torch.nn.Sequential(Radon((9, 12), torch.tensor([10.0, 80.0])))
        self.again = self.A

    def forward(self, x):
        return self.A.adjoint(self.again(x)), self.inner(x)


def test_sparse_operators_are_exported_as_lookups():
    x = torch.rand(2, 3, 9, 12)
    expected = Refine()(x)
    network = without_sparse(Refine())
    assert not any(isinstance(part, SparseOperator) for part in network.modules())
    assert network.again is network.A
    for ours, theirs in zip(network(x), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
