"""Messy folders of images for tests of packs."""

from pathlib import Path

import numpy as np
from PIL import Image


def make_messy_folder(root: Path) -> Path:
    """Two classes in every form that users have, and four files that are no images."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        kinds = {
            "photo.jpg": {"quality": 90},
            "turned.jpg": {"exif": _rotated_jpeg()},
            "print.jpg": {"mode": "CMYK"},
            "few.png": {"mode": "P"},
            "clear.png": {"mode": "RGBA"},
            "moving.gif": {"save_all": True, "append_images": [Image.new("RGB", (30, 20))]},
            "grey.bmp": {"mode": "L"},
        }
        for file, options in kinds.items():
            noise = rng.integers(0, 256, (20, 30, 3), np.uint8)
            image = Image.fromarray(noise).convert(str(options.pop("mode", "RGB")))
            image.save(root / name / file, **options)
        deep = rng.integers(0, 65536, (25, 31), np.uint16)
        Image.fromarray(deep).save(root / name / "deep.png")
    whole = (root / "cat" / "photo.jpg").read_bytes()
    (root / "cat" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "dog" / "empty.png").write_bytes(b"")
    (root / "dog" / "text.jpg").write_text("hello")
    (root / "dog" / "dangling.png").symlink_to(root / "nowhere.png")
    return root


def _rotated_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def make_image_folder(root: Path, count: int = 40, side: int = 12) -> Path:
    """Two classes of PNG files, each image with greys of its own."""
    rng = np.random.default_rng(1)
    for number in range(count):
        path = root / "ab"[number % 2] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return root
