"""tools/photographs: names, sizes, and a clear word where there is no apt-get."""

from __future__ import annotations

from pathlib import Path

import photographs
import pytest
from PIL import Image


def test_no_two_photographs_have_one_name_and_none_is_for_testing():
    names = [photographs.label(name) for files in photographs.PACKAGES.values() for name in files]
    assert len(set(names)) == len(names) == 38
    assert photographs.label("usr/share/wallpapers/Path/contents/images/2560x1600.jpg") == "Path"
    assert photographs.label("usr/share/backgrounds/Wine_by_Jakkub_Mede.jpg") == "Wine"


@pytest.mark.parametrize(("size", "expected"), [((3000, 1500), (1024, 512)), ((90, 60), (90, 60))])
def test_large_photographs_are_shrunk_and_small_ones_kept(tmp_path: Path, size, expected):
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "a.jpg", quality=95)
    photographs.shrink(tmp_path / "a.jpg", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "b.png"]


def test_without_apt_get_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(photographs.shutil, "which", lambda _: None)
    assert photographs.main() == 1
    assert "where apt-get is" in capsys.readouterr().err
