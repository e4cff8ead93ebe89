from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from panopticon.cards.cards import CardError, ModelCard
from panopticon.engines.agreement import greatest_difference, probes
from panopticon.engines.litert import LiteRTEngine
from panopticon.engines.litert_file import SUFFIX, export_key
from panopticon.engines.prepare import prepare, prepared
from panopticon.errors import UsageError
from tests.panopticon.altered import altered
from tests.panopticon.conftest import OpenEngine

WARM = """
import sys
from pathlib import Path
from panopticon.engines import open_engine
from panopticon.models import find_card, parse_version
import numpy as np
engine = open_engine(find_card(parse_version("tagger@1")), cache_dir=Path(sys.argv[1]))
engine.load()
engine.run(np.zeros((1, 224, 224, 3), dtype=np.uint8))
print(sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules)))
"""

WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
from panopticon.engines.prepare import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def small(quality: ModelCard) -> ModelCard:
    """A version that takes little time to export."""
    return altered(quality, input={"width_px": 16, "height_px": 16}, golden=())


@pytest.fixture(scope="module")
def exported(small: ModelCard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the export of the small version."""
    folder = tmp_path_factory.mktemp("exported")
    prepare(small, folder)
    return folder


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


@pytest.mark.parametrize("version", ["tagger@1", "quality@1"])
def test_litert_agrees_with_keras_within_the_cards_tolerance(
    loaded: OpenEngine, tagger: ModelCard, quality: ModelCard, version: str
) -> None:
    card = {"tagger@1": tagger, "quality@1": quality}[version]
    images = probes(card)
    assert len(images) > 7, "golden images are among them"
    apart = greatest_difference(loaded(version, "keras"), loaded(version, "litert"), images)
    assert apart <= card.engines.tolerance


def test_a_batch_gives_bit_for_bit_what_each_image_gives_alone(loaded: OpenEngine) -> None:
    engine = loaded("tagger@1", "litert")
    batch = np.random.default_rng(2).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    alone = [engine.run(image[np.newaxis])[0] for image in batch]
    assert np.array_equal(engine.run(batch), alone)


def test_an_empty_batch_gives_no_rows(loaded: OpenEngine) -> None:
    assert loaded("tagger@1", "litert").run(np.zeros((0, 224, 224, 3), dtype=np.uint8)).shape == (0, 1000)


def test_with_a_warm_cache_neither_keras_nor_tensorflow_is_imported(
    loaded: OpenEngine, cache_dir: Path
) -> None:
    loaded("tagger@1", "litert")
    ran = python("-c", WARM, str(cache_dir))
    assert ran.stdout == "[]\n", ran.stderr


def test_an_export_is_found_only_for_its_own_digest(small: ModelCard, exported: Path) -> None:
    assert prepared(small, exported)
    assert not prepared(altered(small, architecture_revision=2), exported)
    assert not prepared(small, exported / "elsewhere")


def test_loading_uses_the_export_that_is_there(small: ModelCard, exported: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported.iterdir()}
    LiteRTEngine(small, cache_dir=exported).load()
    assert {path: path.stat().st_mtime_ns for path in exported.iterdir()} == before


def test_an_export_names_the_libraries_that_made_it(small: ModelCard) -> None:
    key = export_key(small)
    assert small.digest[:16] in key
    assert "keras3" in key
    assert "litert" in key


def test_an_export_that_disagrees_is_refused_and_not_cached(small: ModelCard, tmp_path: Path) -> None:
    strict = altered(small, engines={"tolerance": 1e-30})
    with pytest.raises(CardError, match=r"LiteRT differs from Keras by .*, its card allows 1e-30"):
        prepare(strict, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_error_on_a_backend_that_cannot_export_names_the_way_out(
    small: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    monkeypatch.setattr("panopticon.engines.keras._libraries", lambda: "keras, jax")
    with pytest.raises(UsageError, match="not on jax; unset KERAS_BACKEND, or choose the engine keras"):
        prepare(small, tmp_path)


def test_a_damaged_export_is_rebuilt(small: ModelCard, tmp_path: Path) -> None:
    path = prepare(small, tmp_path).path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert not prepared(small, tmp_path)
    engine = LiteRTEngine(small, cache_dir=tmp_path)
    engine.load()
    assert engine.run(np.zeros((1, 16, 16, 3), dtype=np.uint8)).tolist() == [[0, 0, 0, 0, 0]]


def test_altered_weights_are_refused_even_with_a_warm_cache(
    small: ModelCard, exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(b"altered")
    weights = {"file": str(tmp_path / "w.bin"), "sha256": "0" * 64}
    with pytest.raises(CardError, match=r"w\.bin has sha256 .*, its card has 0000"):
        LiteRTEngine(altered(small, weights=weights), cache_dir=exported).load()


def test_two_processes_that_prepare_at_once_both_succeed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "panopticon.engines.prepare", "quality@1", "--cache-dir", str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert {path.suffix for path in tmp_path.iterdir()} == {SUFFIX}


def test_the_error_for_preparing_without_tensorflow_names_the_extra_to_install(tmp_path: Path) -> None:
    ran = python(
        "-c", WITHOUT_TENSORFLOW, "tagger@1", "--cache-dir", str(tmp_path), KERAS_BACKEND="tensorflow"
    )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "tensorflow is not installed" in ran.stderr
    assert "panopticon[cpu]" in ran.stderr


@pytest.mark.parametrize(
    ("version", "message"), [("tagger", "'tagger'"), ("tagger@9", "unknown model version tagger@9")]
)
def test_the_error_for_preparing_an_invalid_version_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, version: str, message: str
) -> None:
    from panopticon.engines.prepare import main

    assert main([version, "--cache-dir", str(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert message in output
    assert output.count("\n") == 1
