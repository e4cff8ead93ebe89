from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from panopticon.cards.cards import CardError, Input, ModelCard, Preprocessing
from panopticon.engines.null import NullEngine
from panopticon.errors import Rejected
from panopticon.handover.check_card import check_card
from panopticon.images.decoding import Decoded, decode
from panopticon.models.golden import self_test
from tests.distributions import install_preprocessing
from tests.panopticon.altered import altered
from tests.panopticon.null_card import write_null_card

INPUT = Input(width_px=6, height_px=4)

WHOLE = """
import numpy as np

def prepare(picture, width_px, height_px, *, shade=0):
    made = np.full((height_px, width_px, 3), shade, dtype=np.uint8)
    made[0, 0] = picture[0, 0]
    made[0, 1, :2] = [side % 256 for side in picture.shape[:2]]
    return made
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(code: str, **which: str) -> None:
        install_preprocessing(folder, code, **which)

    yield install
    for module in [name for name in sys.modules if name.endswith("_plugin")]:
        del sys.modules[module]


def png(width_px: int, height_px: int, *, orientation: int = 1) -> bytes:
    """Make a white picture whose first pixel is red."""
    image = Image.new("RGB", (width_px, height_px), "white")
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


def decoded(encoded: bytes, **options: Any) -> Decoded:
    return decode(encoded, input=INPUT, preprocessing=Preprocessing(plugin="demo", options=options))


def test_a_plugin_gets_the_whole_picture_upright_and_its_options(install: Install) -> None:
    install(WHOLE)
    made = decoded(png(5, 8, orientation=6), shade=7)
    assert made.pixels.shape == (4, 6, 3)
    assert made.pixels[0, 1].tolist() == [5, 8, 7]
    assert decoded(png(5, 8)).pixels[0, 0].tolist() == [255, 0, 0]
    assert (made.width_px, made.height_px) == (8, 5)


def test_a_large_picture_comes_averaged_down_to_no_less_than_twice_the_input(install: Install) -> None:
    install(WHOLE)
    assert decoded(png(62, 50)).pixels[0, 1, :2].tolist() == [13, 16]


def test_a_plugin_may_reject_an_image(install: Install) -> None:
    install(
        "from panopticon.errors import Rejected\n"
        "def prepare(picture, width_px, height_px):\n    raise Rejected('no_face', 'nobody is in it')\n"
    )
    with pytest.raises(Rejected, match="no_face: nobody is in it"):
        decoded(png(5, 5))


BROKEN = [
    ("return picture", r"from \(5, 5, 3\) it makes \(5, 5, 3\) uint8, not \(4, 6, 3\) uint8"),
    ("return picture[:4, :4].repeat(2, 1)[:, :6] / 255", r"from .* it makes \(4, 6, 3\) float64"),
    ("return None", r"from .* it makes \(\) object"),
    ("return 1 / 0", "ZeroDivisionError: division by zero"),
    ("picture[0] = 0", "ValueError: assignment destination is read-only"),
]


@pytest.mark.parametrize(("body", "message"), BROKEN)
def test_the_error_for_a_broken_plugin_names_it_with_its_version(
    install: Install, body: str, message: str
) -> None:
    install(f"def prepare(picture, width_px, height_px):\n    {body}\n")
    with pytest.raises(CardError, match=f"plug-in demo of demo-plugin 1.2: {message}"):
        decoded(png(5, 5))


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return altered(write_null_card(tmp_path / "card"), preprocessing={"plugin": "demo"})


@pytest.mark.parametrize(("body", "message"), BROKEN)
def test_a_broken_plugin_fails_the_self_test_before_any_image(
    install: Install, card: ModelCard, body: str, message: str
) -> None:
    install(f"def prepare(picture, width_px, height_px):\n    {body}\n")
    with pytest.raises(CardError, match="preprocessing plug-in demo"):
        self_test(card, NullEngine(card, cache_dir=card.folder))


def preprocessing_line(card: ModelCard) -> tuple[bool, str]:
    lines = {line.what: line for line in check_card(card, cache_dir=card.folder)}
    return lines["preprocessing"].ok, lines["preprocessing"].detail


def test_models_check_names_the_plugin_that_passed(install: Install, card: ModelCard) -> None:
    install(WHOLE)
    assert preprocessing_line(card) == (True, "plug-in demo of demo-plugin 1.2")


def test_models_check_reports_a_plugin_with_random_results(install: Install, card: ModelCard) -> None:
    install(
        "import numpy as np\ndice = np.random.default_rng()\n"
        "def prepare(picture, width_px, height_px):\n"
        "    return dice.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)\n"
    )
    assert preprocessing_line(card) == (
        False,
        "preprocessing plug-in demo of demo-plugin 1.2: it returns two different results for one picture",
    )


def test_the_error_for_a_missing_plugin_names_those_that_are_installed(
    install: Install, card: ModelCard
) -> None:
    install(WHOLE, name="other")
    with pytest.raises(CardError) as caught:
        _ = card.digest
    assert str(caught.value) == (
        "preprocessing.plugin: no 'demo' among the entry points 'panopticon.preprocessing'; installed: "
        "other; pip install the distribution that provides it"
    )


def test_the_error_for_a_plugin_that_cannot_be_imported_names_it(install: Install, card: ModelCard) -> None:
    install("import no_such_module\n")
    with pytest.raises(CardError, match=r"'demo' of demo-plugin 1\.2: No module named 'no_such_module'"):
        _ = card.digest


def test_distribution_version_and_options_are_in_the_digest(
    install: Install, card: ModelCard, tmp_path: Path
) -> None:
    install(WHOLE)
    first = card.digest
    (tmp_path / "site-packages" / "demo_plugin-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: demo-plugin\nVersion: 1.3\n"
    )
    second = altered(card, summary="the same card").digest
    third = altered(card, preprocessing={"options": {"shade": 9}}).digest
    assert len({first, second, third}) == 3
    assert b'"distribution":"demo-plugin"' in card.digest_input


@pytest.mark.parametrize(
    "section", [{"plugin": "demo", "crop": 0.9}, {"plugin": "demo", "resize": "box"}, {"options": {"a": 1}}]
)
def test_a_preprocessing_field_without_effect_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leave them out|belong to a plugin"):
        Preprocessing(**section)
