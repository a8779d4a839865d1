"""The `{live}` directive: an exported network that runs inside the page, on the reader's machine.

A demo is a still picture with a caption, and a start button that `_static/live/start.js` adds. The
demos stand together in `book/playground.md`; each also stands before the summary of its chapter,
put there while the site is built, so that the notebook itself holds nothing that runs only here.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .stored import read

RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


@dataclass(frozen=True)
class Demo:
    """One demo: its chapter, the networks that its start loads, and its still picture's name."""

    docname: str
    models: tuple[str, ...]
    figure: str
    caption: str


DEMOS = {
    "generate": Demo(
        "notebooks/03_gan",
        ("gan_generator",),
        "fig-gan-directions",
        "The generator, live. It makes a digit of 64 random numbers, $z$; near codes make similar "
        "digits. Each slider adds a multiple of one random direction to $z$, which means nothing "
        "by itself: is there a place between two digits that is neither? *Walk* lets $z$ wander "
        "over the sphere on which Gaussian noise lies.",
    ),
    "encode": Demo(
        "notebooks/04_vae",
        ("vae_encoder", "vae_decoder"),
        "fig-vae-pca",
        "Encoder and decoder, live: write a digit, see what 24 numbers keep of it, and move the "
        "six of which the encoder is surest. Both have seen 4,000 digits and nothing else: write "
        "a house, and see what they make of it.",
    ),
    "classify": Demo(
        "notebooks/05_cnn",
        ("cnn_classifier",),
        "fig-cnn-opening",
        "The classifier, live: write a digit with mouse or finger and see what the network takes "
        "it for. It has seen digits on patches of photographs, and nothing else; it always "
        "answers with a digit. What happens if you write a letter?",
    ),
    "enlarge": Demo(
        "notebooks/06a_super_resolution",
        ("espcn_x3",),
        "fig-sr-opening",
        "Super-resolution, live: a photograph of yours is made small, then enlarged by a formula "
        "and by the network. Move the divider between them. The network has learned from "
        "photographs: what it adds was likely in those, and need not be in yours. Try a drawing, "
        "or a page of text.",
    ),
    "denoise": Demo(
        "notebooks/06b_denoising",
        ("denoiser_sigma25",),
        "fig-dn-opening",
        "The denoiser, live: noise is added to a photograph of yours and taken away; move the "
        "divider. In training it saw one level of noise, 25 of 255 grey levels. It has no "
        "additive constants, so that what is twice as bright and twice as noisy gives twice the "
        "answer, and other levels need not ruin it: try 60. At 0, what does it wipe away?",
    ),
    "tomography": Demo(
        "notebooks/06c_tomography",
        ("ct_unet", "ct_reconstructor"),
        "fig-ct-opening",
        "Tomography, live: a random body of ellipses, as in the training, is seen from some "
        "angles. Filtered back-projection smears each view back over the image; with few views "
        "the smears do not cancel, and stay as streaks. The networks know what such bodies look "
        "like. Go down to 10 views, then 4: what does the U-Net draw where it knows nothing?",
    ),
    "flow": Demo(
        "notebooks/07a_diffusion",
        ("flow_generator",),
        "fig-df-opening",
        "The flow, live: noise, at $t = 1$, becomes a digit of the class that you choose, at "
        "$t = 0$. At how many steps can you read it? The guidance $w$ weighs the class: at 0 it "
        "is ignored, at 1 used as learned, above 1 exaggerated.",
    ),
}
OFF = "A button that starts the network in this page appears where JavaScript is on."


class Live(SphinxDirective):
    """Show the still picture of a demo, and everything that its start button needs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the demo's box."""
        name = self.arguments[0]
        if name not in DEMOS:
            raise self.error(f"there is no demo {name!r}; there are {', '.join(DEMOS)}")
        demo, root = DEMOS[name], Path(self.env.srcdir)
        notebook = read(root / f"{demo.docname}.ipynb", demo.docname)
        self.env.note_dependency(str(notebook.path))
        stored = dict(notebook.figures()).get(demo.figure)
        if stored is None:
            raise self.error(f"{demo.docname} stores no picture {demo.figure!r}")
        saved = stored.save(self.env.app, f"live-{name}")
        picture = nodes.image(uri=saved, alt=stored.alt, loading="lazy")
        words, messages = self.state.inline_text(demo.caption, self.lineno)
        figure = nodes.figure("", picture, nodes.caption("", "", *words))
        networks = (root / "book/_static/models" / f"{model}.onnx" for model in demo.models)
        runtime = root / "node_modules/onnxruntime-web/dist" / RUNTIME[-1]
        start = (
            f'<div class="igr-live" data-demo="{name}" data-models="{" ".join(demo.models)}" '
            f'data-bytes="{sum(path.stat().st_size for path in networks)}" '
            f'data-runtime="{runtime.stat().st_size}">'
        )
        end = f'<p class="igr-live-off">{OFF}</p></div>'
        return [nodes.raw("", start, format="html"), figure, *messages,
                nodes.raw("", end, format="html")]  # fmt: skip


def add_to_chapter(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put a chapter's demo into a section of its own before the chapter's summary."""
    for name, demo in DEMOS.items():
        if demo.docname != docname:
            continue
        notebook = json.loads(source[0])
        texts = ["".join(cell["source"]) for cell in notebook["cells"]]
        place = next((k for k, text in enumerate(texts) if re.match(r"## Summary\b", text)), None)
        if place is None:
            raise ValueError(f"{docname} has no cell that begins with '## Summary'.")
        section = f"(live-{name})=\n## Live, in this page\n\n```{{live}} {name}\n```\n"
        cell = {"cell_type": "markdown", "id": f"live-{name}", "metadata": {}, "source": section}
        notebook["cells"].insert(place, cell)
        source[0] = json.dumps(notebook)


def copy_files(app: Sphinx) -> None:
    """Put the runtime and the samples into the site; say what to do where they are missing."""
    target = Path(app.outdir, "_static", "live")
    packages = Path(app.srcdir, "node_modules", "onnxruntime-web", "dist")
    if not packages.is_dir():
        raise FileNotFoundError(
            f"{packages} is missing: run `make book`, or `npm ci` before jupyter-book."
        )
    (target / "ort").mkdir(parents=True, exist_ok=True)
    for name in RUNTIME:
        shutil.copyfile(packages / name, target / "ort" / name)
    (target / "samples").mkdir(exist_ok=True)
    sys.path.insert(0, str(Path(app.srcdir, "notebooks")))
    from helpers.data import digits, photographs  # held-out ones, which no network has seen

    coffee = photographs("test", size=384)["coffee"].permute(1, 2, 0)
    save_png(target / "samples" / "photograph.png", coffee)
    x, label = digits("test")
    first = [x[label == k][0, 0] for k in range(10)]
    save_png(target / "samples" / "digits.png", torch.hstack(first))


def save_png(path: Path, x: torch.Tensor) -> None:
    """Write an image (H, W) or (H, W, 3) in [0, 1]."""
    Image.fromarray((255 * x).round().byte().numpy()).save(path)


def add_script(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Load the start buttons on pages that have a demo, and on no other."""
    if doctree and any("igr-live" in raw.astext() for raw in doctree.findall(nodes.raw)):
        app.add_js_file("live/start.js")
        app.add_css_file("live/live.css")


def setup(app: Sphinx) -> None:
    """Register the directive and the hooks."""
    app.add_directive("live", Live)
    app.connect("builder-inited", copy_files)
    app.connect("source-read", add_to_chapter)
    app.connect("html-page-context", add_script)
