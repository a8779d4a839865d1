"""Exports trained networks to ONNX, for the models that run inside the pages.

    python tools/export.py        export every network whose card asks for it, write the manifest

Reads the cards beside the weights (notebooks/weights/NAME.json with NAME.safetensors), builds each
network from the very class that its notebook shows, and writes book/_static/models/NAME.onnx and
manifest.json. Nothing is written unless ONNX Runtime gives what PyTorch gives.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from nbsource import ROOT, definitions
from safetensors.torch import load_file
from torch import Tensor, nn

MODELS = ROOT / "book" / "_static" / "models"
CARD_FIELDS = {
    "name", "notebook", "build", "data", "recipe", "steps", "seconds", "machine", "date", "score",
    "torch", "export",
}  # fmt: skip
MANIFEST_FIELDS = {
    "name", "file", "sha256", "task", "inputs", "outputs", "parameters", "trained_on", "seconds",
    "device", "metrics", "source",
}  # fmt: skip
PORT_FIELDS = {"name", "shape", "range"}
OPSET = 18  # the lowest that PyTorch's exporter writes, so the widest choice of browsers' runtimes
TOLERANCE = 1e-4


def main() -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            entries = [export(card, Path(folder)) for card in cards() if card["export"] is not None]
            MODELS.mkdir(parents=True, exist_ok=True)
            for entry in entries:
                (MODELS / entry["file"]).write_bytes((Path(folder) / entry["file"]).read_bytes())
                size = (MODELS / entry["file"]).stat().st_size
                print(f"{entry['file']:28} {size / 1e6:7.2f} MB  from {entry['source']}")
    except (OSError, ValueError, NameError, RuntimeError) as error:
        print(f"{error}\nNothing was written.", file=sys.stderr)
        return 1
    for stale in {path.name for path in MODELS.glob("*.onnx")} - {e["file"] for e in entries}:
        (MODELS / stale).unlink()
        print(f"{stale:28} removed: no card asks for it")
    text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    (MODELS / "manifest.json").write_text(text, encoding="utf-8")
    return 0


def cards(root: Path = ROOT) -> list[dict]:
    """The cards of all shipped weights; ValueError where one does not belong to its weights."""
    folder, found = root / "notebooks" / "weights", []
    for weights in sorted(folder.glob("*.safetensors")):
        if not weights.with_suffix(".json").is_file():
            raise ValueError(f"{weights} has no card {weights.stem}.json")
    for path in sorted(folder.glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        if not path.with_suffix(".safetensors").is_file():
            raise ValueError(f"{path} has no weights {path.stem}.safetensors")
        if set(card) != CARD_FIELDS:
            raise ValueError(f"{path}: fields missing or unknown: {set(card) ^ CARD_FIELDS}")
        if card["name"] != path.stem:
            raise ValueError(f"{path}: it says that its name is {card['name']!r}")
        fields = {"task", "inputs", "outputs"}
        if card["export"] is not None and set(card["export"]) - {"call"} != fields:
            raise ValueError(f"{path}: `export` has {fields} and, if it likes, a method to `call`")
        for port in ports(card):
            if set(port) != PORT_FIELDS:
                raise ValueError(f"{path}: inputs and outputs have {PORT_FIELDS}, not {set(port)}")
        found.append(card)
    return found


def ports(card: dict) -> Iterator[dict]:
    """The inputs, then the outputs, that the card declares."""
    if card["export"] is not None:
        yield from card["export"]["inputs"]
        yield from card["export"]["outputs"]


def source(card: dict, root: Path = ROOT) -> Path:
    """The file that defines the network: a chapter or, where the card names none, the module in
    front of the class that it builds, such as `helpers.digit_network.DigitNetwork()`."""
    if card["notebook"] is not None:
        return root / "notebooks" / f"{card['notebook']}.ipynb"
    module = card["build"].partition("(")[0].rpartition(".")[0]
    return root / "notebooks" / (module.replace(".", "/") + ".py")


def build(card: dict, root: Path = ROOT) -> nn.Module:
    """The network of the card with its trained weights, in evaluation mode, on the CPU."""
    path = source(card, root)
    if path.suffix == ".ipynb":
        names = vars(definitions(path)).copy()
    else:
        sys.path.insert(0, str(root / "notebooks"))
        importlib.import_module(f"helpers.{path.stem}")
        names = {"helpers": sys.modules["helpers"]}
    network = eval(card["build"], names)
    weights = load_file(root / "notebooks" / "weights" / f"{card['name']}.safetensors")
    network.load_state_dict(weights)
    if method := (card["export"] or {}).get("call"):  # only a part of it is exported
        network.forward = getattr(network, method)
    return network.eval()


def sample(inputs: list[dict], batch: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random inputs as the card declares them: uniform in [low, high], else (range null) normal.

    A dimension that is a letter is dynamic: N is the batch; H, W and others get sizes that differ
    from each other and from batch to batch, so that a fixed or a mixed-up one shows.
    """
    generator = torch.Generator().manual_seed(seed)
    letters = sorted({d for port in inputs for d in port["shape"] if isinstance(d, str)} - {"N"})
    sizes = {"N": batch} | {letter: 16 * (2 + batch + i) for i, letter in enumerate(letters)}
    drawn = []
    for port in inputs:
        shape = [sizes.get(dimension, dimension) for dimension in port["shape"]]
        if port["range"] is None:
            drawn.append(torch.randn(shape, generator=generator))
        else:
            low, high = port["range"]
            drawn.append(low + (high - low) * torch.rand(shape, generator=generator))
    return tuple(drawn)


def export(card: dict, folder: Path, root: Path = ROOT) -> dict:
    """Writes NAME.onnx into the folder and returns its entry for the manifest."""
    network = build(card, root)
    exported = without_sparse(build(card, root))
    inputs, outputs = card["export"]["inputs"], card["export"]["outputs"]
    dynamic = tuple(
        {axis: name for axis, name in enumerate(port["shape"]) if isinstance(name, str)}
        for port in inputs
    )
    path = folder / f"{card['name']}.onnx"
    torch.onnx.export(
        exported,
        sample(inputs, batch=2),
        path,
        input_names=[port["name"] for port in inputs],
        output_names=[port["name"] for port in outputs],
        dynamic_shapes=dynamic,
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    tidy(path, outputs)
    if faults := differences(path, network, inputs, outputs):
        raise ValueError(f"{path.name}: " + "; ".join(faults))
    return {
        "name": card["name"],
        "file": path.name,
        "sha256": sha256(path),
        "task": card["export"]["task"],
        "inputs": inputs,
        "outputs": outputs,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "trained_on": card["data"],
        "seconds": card["seconds"],
        "device": card["machine"],
        "metrics": card["score"],
        "source": source(card, root).relative_to(root).as_posix(),
    }


class Lookups(nn.Module):
    """What a SparseOperator computes, in a form that ONNX knows: it has no sparse matrices.

    Each number of y is a weighted sum of the few numbers of x that its row of the matrix names.
    """

    def __init__(self, A: nn.Module) -> None:
        super().__init__()
        self.x_shape, self.y_shape = A.x_shape, A.y_shape
        for name, M in (("M", A.M), ("MT", A.MT)):
            start, entries = M.crow_indices().long(), M.values()
            count = start.diff()  # (rows,), the shorter ones are filled up with weights 0
            row = torch.repeat_interleave(torch.arange(len(count)), count)
            place = torch.arange(len(entries)) - start[row]
            index = torch.zeros(len(count), int(count.max()), dtype=torch.int32)
            weight = torch.zeros(index.shape)
            index[row, place], weight[row, place] = M.col_indices().int(), entries
            self.register_buffer(f"{name}_index", index)
            self.register_buffer(f"{name}_weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.M_index, self.M_weight, self.y_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.product(y, self.MT_index, self.MT_weight, self.x_shape)

    @staticmethod
    def product(x: Tensor, index: Tensor, weight: Tensor, shape: tuple[int, int]) -> Tensor:
        named = x.flatten(2).index_select(2, index.flatten())  # (N, C, rows * entries)
        products = named.unflatten(2, index.shape) * weight
        return products.sum(3).unflatten(2, shape)


def without_sparse(network: nn.Module) -> nn.Module:
    """Replaces every SparseOperator in the network by its Lookups, in place."""
    from helpers.physics import SparseOperator  # `build` has put helpers on the path

    lookups = {}  # an operator that stands in two places is exported once
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, SparseOperator):
                parent._modules[name] = lookups.setdefault(id(child), Lookups(child))
    return network


def tidy(path: Path, outputs: list[dict]) -> None:
    """Takes out where on this machine each node came from, so that the same weights give the same
    file anywhere, and names the outputs' dimensions as the card does."""
    model = onnx.load(path)
    model.producer_version = ""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for part in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
    ):
        part.doc_string = ""
        del part.metadata_props[:]
    for value, port in zip(model.graph.output, outputs, strict=True):
        for dimension, declared in zip(
            value.type.tensor_type.shape.dim, port["shape"], strict=True
        ):
            if isinstance(declared, str):
                dimension.dim_param = declared
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def differences(
    path: Path, network: nn.Module, inputs: list[dict], outputs: list[dict]
) -> list[str]:
    """Where ONNX Runtime and PyTorch, or the file and its declaration, disagree."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = {port.name: port.shape for port in (*session.get_inputs(), *session.get_outputs())}
    declared = {port["name"]: port["shape"] for port in (*inputs, *outputs)}
    faults = [] if found == declared else [f"it takes and gives {found}, declared are {declared}"]
    for batch in (1, 5):
        x = sample(inputs, batch, seed=batch)
        feed = {port["name"]: tensor.numpy() for port, tensor in zip(inputs, x, strict=True)}
        with torch.no_grad():
            expected = network(*x)
        expected = [expected] if isinstance(expected, Tensor) else expected
        for port, y, ours in zip(outputs, expected, session.run(None, feed), strict=True):
            name, y = f"{port['name']} (batch {batch})", y.numpy()
            if y.shape != ours.shape:
                faults.append(f"{name}: shape {ours.shape}, PyTorch's is {y.shape}")
                continue
            if not (error := np.abs(y - ours).max()) < TOLERANCE:
                faults.append(f"{name}: differs from PyTorch's by {error:.1e}")
            low, high = port["range"] or (-np.inf, np.inf)
            if not (ours.min() >= low - TOLERANCE and ours.max() <= high + TOLERANCE):
                faults.append(f"{name}: values outside {port['range']}")
    return faults


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
