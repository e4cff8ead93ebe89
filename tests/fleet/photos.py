"""Real photos from a wheel, each in many slightly different crops."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from PIL import Image

PHOTOS = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png", "camera.png")


def cropped_photos(folder: Path, *, crops: int) -> dict[str, Path]:
    """Return the JPEGs in `folder` of this number of crops of six photos, by image ID such as `coffee-0`."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    found: dict[str, Path] = {}
    for name in PHOTOS:
        with Image.open(Path(spec.origin).parent / "data" / name) as whole:
            picture = whole.convert("RGB")
        for crop in range(crops):
            path = folder / f"{Path(name).stem}-{crop}.jpg"
            picture.crop((crop, 0, picture.width, picture.height)).save(path, quality=90)
            found[path.stem] = path
    return found
