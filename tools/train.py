"""Trains one of the networks that the book ships anew, by the recipe in its notebook.

    python tools/train.py NAME       such as gan_generator

The card `notebooks/weights/NAME.json` says which notebook defines the network, and how to build
it; that notebook's function `recipe(name, network)` trains it. The stored weights stay until the
new ones take their place, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import sys

from nbsource import NOTEBOOKS, definitions, find

WEIGHTS = NOTEBOOKS / "weights"


def main() -> int:
    known = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        print(f"Name one of the stored networks: {', '.join(known)}", file=sys.stderr)
        return 1
    name = sys.argv[1]
    card = json.loads((WEIGHTS / f"{name}.json").read_text("utf-8"))
    if card["notebook"] is None:
        print(f"{name} belongs to the helpers: see the docstring of {card['build']}")
        return 1
    chapter = definitions(find(card["notebook"]))
    network = eval(card["build"], vars(chapter))
    from helpers.training import ship_weights  # `definitions` has put helpers on the path

    ship_weights(name, network, chapter.recipe(name, network))
    print(f"{name} is made anew; run 'make export execute' to follow it up.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
