"""Fetches more photographs to train on: those that Debian's free packages carry.

    python tools/photographs.py      into the cache, where the recipes of chapter 6 look for them

The networks that the book ships saw more than the eleven training photographs of scikit-image: the
photographs among the wallpapers and puzzles of four Debian packages, shrunk so that they are sharp.
The book itself runs without them. It needs apt-get and dpkg-deb (Debian, Ubuntu), and no root.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nbsource import NOTEBOOKS
from PIL import Image

sys.path.insert(0, str(NOTEBOOKS))
from helpers.data import MORE_PHOTOGRAPHS

LONGER_SIDE = 1024  # pixels; the originals have up to 6,000, and are soft at that size
WALLPAPERS = "usr/share/wallpapers/{}/contents/images/2560x1600.jpg"
# package -> the photographs in it: not its drawings, gradients and logos
PACKAGES = {
    "lomiri-wallpapers-16.04": [
        f"usr/share/backgrounds/{name}.jpg"
        for name in (
            "Bridge_by_Sander_Klootwijk", "Dragonfly_by_Bolly", "Picture_0B_by_freespace",
            "Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi",
            "free_by_Peter_Nerlich", "friends_by_Aitzol_Berasategi", "greentock_by_Peter_Nerlich",
            "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi",
            "seeding_by_Clements_Engelhardt", "sunset_by_Aitzol_Berasategi",
        )
    ],
    "lomiri-wallpapers-20.04": ["usr/share/backgrounds/Kleiber_by_Lukas_Baubkus.jpg"],
    "mate-backgrounds": [
        f"usr/share/backgrounds/mate/nature/{name}.jpg"
        for name in (
            "Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird",
            "RainDrops", "TwoWings", "Wood", "YellowFlower",
        )
    ],
    "palapeli-data": [
        f"usr/share/palapeli/collection/{name}.jpg"
        for name in (
            "castle-maintenon", "cincinnati-bridge", "citrus-fruits", "european-honey-bee",
            "panther-chameleon-female",
        )
    ],
    "plasma-workspace-wallpapers": [
        WALLPAPERS.format(name)
        for name in (
            "Autumn", "BytheWater", "ColorfulCups", "EveningGlow", "FallenLeaf", "Grey",
            "OneStandsOut", "Path",
        )
    ],
}  # fmt: skip


def main() -> int:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        print(
            "These photographs come in Debian packages: run this where apt-get is.", file=sys.stderr
        )
        return 1
    MORE_PHOTOGRAPHS.mkdir(parents=True, exist_ok=True)
    for package, names in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)  # apt-get downloads as another user
            try:
                subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True)
                (archive,) = Path(folder).glob("*.deb")
                subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
                for name in names:
                    shrink(Path(folder) / name, MORE_PHOTOGRAPHS / f"{label(name)}.png")
            except (subprocess.CalledProcessError, ValueError, OSError) as error:
                print(f"{package} was not fetched ({error}): try apt-get update.", file=sys.stderr)
                return 1
        print(f"{package:28} {len(names):3} photographs")
    return 0


def label(name: str) -> str:
    """The name of the file, or of its folder where every file has the same one."""
    path = Path(name)
    return path.parts[3] if path.stem == "2560x1600" else path.stem.split("_by_")[0]


def shrink(path: Path, target: Path) -> None:
    image = Image.open(path).convert("RGB")
    ratio = min(LONGER_SIDE / max(image.size), 1)
    size = [round(side * ratio) for side in image.size]
    part = target.with_suffix(".part")  # an interrupt leaves no half a picture
    image.resize(size, Image.Resampling.BICUBIC).save(part, "png")
    part.replace(target)


if __name__ == "__main__":
    sys.exit(main())
