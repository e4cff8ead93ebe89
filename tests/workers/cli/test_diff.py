"""`panopticon models diff`: as a table, as JSON and as a page, and its errors."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from panopticon.registry.activation import report_of
from panopticon.results.outputs import VersionName
from tests.house import House
from tests.workers.cli.conftest import Panopticon
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, card_of, photo, register_two_versions

PHOTOS = ("a", "b", "c", "d")


@pytest.fixture
def house(house: House, tmp_path: Path) -> House:
    """A house with four photos, which the first version of the tagger and both of the scorer have seen."""
    register_two_versions(house, tmp_path / "cards")
    before, after = {"noise": 0.25, "light": 0.5}, {"noise": 0.25, "light": 0.75}
    house.plant(*PHOTOS, outputs={LIGHT_1: before, LIGHT_2: after, PETS_1: {"cat": 0.75}})
    house.plant("a", outputs={PETS_2: {"cat": 0.75}})
    house.plant("b", outputs={PETS_2: {"cat": 0.25, "dog": 0.5}})
    house.plant("c", outputs={PETS_2: {"fox": 0.5}})
    for name in PHOTOS:
        photo(house, tmp_path / f"{name}.png")
    return house


def rows(out: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]


def test_the_table_shows_figures_tags_the_worst_images_and_the_limits_exceeded(
    panopticon: Panopticon,
) -> None:
    ran = panopticon("models", "diff", "pets@1", "pets@2")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "pets@1 → pets@2: 3 of 4 images compared"
    assert lines[1] == "1 image left out: no output of pets@2"
    shown = [row[:3] for row in rows(ran.out)]
    assert ["coverage", "0.75", "at least 0.99"] in shown
    assert ["agreement", "0.3333", "at least 0.8"] in shown
    assert ["jaccard", "0.5", "at least 0.7"] in shown
    assert ["waiting", "0", "at most 1,000"] in shown
    assert (
        shown.index(["tag lost", "images"])
        < shown.index(["cat", "1"])
        < shown.index(["tag gained", "images"])
    )
    assert ["c", "cat 0.75", "fox 0.5"] in shown
    assert lines[-3:] == [
        "Limit exceeded: coverage is 0.75, at least 0.99 is required",
        "Limit exceeded: agreement is 0.333333, at least 0.8 is required",
        "Limit exceeded: jaccard is 0.5, at least 0.7 is required",
    ]


def test_a_comparison_of_one_image_among_several_exceeds_a_limit(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("a\n")
    ran = panopticon("models", "diff", "pets@1", "pets@2", "--ids", str(tmp_path / "ids.txt"))
    assert "Limit exceeded: images is 1, at least 3 is required" in ran.out.splitlines()


def test_within_the_limits_the_next_step_is_printed(panopticon: Panopticon) -> None:
    ran = panopticon("--set", "max_ks=1", "models", "diff", "light@1", "light@2")
    assert ran.out.splitlines()[-1] == "Within every limit. Next: panopticon models activate light@2"
    assert ["light", "0.5 → 0.75", "0.5 → 0.75", "0.5 → 0.75", "+0.25", "1.000"] in [
        row[:6] for row in rows(ran.out)
    ]


def test_a_version_with_a_report_within_every_limit_can_be_activated(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    with_cards = ("--set", f"models_dir={tmp_path / 'cards'}", "--set", "max_ks=1", "models")
    refused = panopticon(*with_cards, "activate", "light@2").complaint
    assert refused.startswith("light@2 is not activated: version 2 was never compared with version 1.")
    panopticon("models", "diff", "light@1", "light@2")
    assert panopticon(*with_cards, "activate", "light@2").out.startswith(
        "light@2 answers queries from now on"
    )


def test_a_version_whose_report_exceeds_a_limit_is_not_activated(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    panopticon("models", "diff", "pets@1", "pets@2")
    refused = panopticon(
        "--set", f"models_dir={tmp_path / 'cards'}", "models", "activate", "pets@2"
    ).complaint
    assert "pets@2 is not activated: coverage is 0.75, at least 0.99 is required" in refused


def test_the_settings_set_the_limits(panopticon: Panopticon) -> None:
    ran = panopticon("--set", "max_ks=0.5", "models", "diff", "light@1", "light@2")
    assert ran.out.splitlines()[-1] == "Limit exceeded: ks is 1, at most 0.5 is allowed"


def test_the_comparison_as_json(panopticon: Panopticon, house: House) -> None:
    shown = panopticon("models", "diff", "pets@1", "pets@2", "--json").json
    record = report_of(house.model("pets"), 1, 2)
    assert record is not None
    assert shown["figures"] == {
        "coverage": 0.75,
        "agreement": pytest.approx(1 / 3),
        "jaccard": 0.5,
        "waiting": 0,
    }
    assert (shown["asked"], shown["images"], shown["drawn_from"]) == (4, 3, 4)
    assert shown["former"]["name"] == "pets@1"
    assert shown["version"]["digest"] == record.digest
    assert shown["tags"]["gained"] == [{"tag": "dog", "images": 1}, {"tag": "fox", "images": 1}]
    assert [one["image_id"] for one in shown["worst"]] == ["c", "b"]
    assert (shown["report_sha256"], shown["ids_sha256"]) == (record.report_sha256, record.ids_sha256)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT.*Z", shown["at"])


def test_the_keys_of_the_json_are_stable(panopticon: Panopticon) -> None:
    shown = panopticon("models", "diff", "pets@1", "pets@2", "--json").json
    assert list(shown) == [
        "at",
        "by",
        "task",
        "former",
        "version",
        "ids_sha256",
        "asked",
        "drawn_from",
        "drawn_from_all",
        "images",
        "left_out",
        "figures",
        "searchable",
        "results_queue",
        "tags",
        "scores",
        "worst",
        "report_sha256",
    ]
    assert list(shown["former"]) == ["name", "version", "state", "digest", "policy_number"]
    assert list(shown["figures"]) == ["coverage", "agreement", "jaccard", "waiting"]
    assert list(shown["worst"][0]) == ["image_id", "before", "after", "jaccard", "distance", "score"]


def test_the_images_named_are_compared_and_no_others(panopticon: Panopticon) -> None:
    shown = panopticon("models", "diff", "pets@1", "pets@2", "--ids", "-", "--json", stdin=b"a\nb\n").json
    assert (shown["asked"], shown["images"], shown["drawn_from"]) == (2, 2, None)
    assert shown["figures"]["coverage"] == 0.75


def test_a_sample_has_the_requested_size(panopticon: Panopticon) -> None:
    shown = panopticon("models", "diff", "pets@1", "pets@2", "--sample", "2", "--json").json
    assert (shown["asked"], shown["drawn_from"], shown["drawn_from_all"]) == (2, 4, True)


class Page(HTMLParser):
    """Text, pictures and everything that a browser would fetch, of one page that is well-formed."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.pictures: list[str] = []
        self.fetched: list[str] = []
        self.marked: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(source)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.fetched += [str(named[key]) for key in ("src", "href", "srcset", "data") if key in named]
        if tag == "img":
            self.pictures.append(str(named["src"]))
        if tag not in self.VOID:
            self._open.append((tag, named.get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if text := " ".join(data.split()):
            self.texts.append(text)
            mark = next((name for tag, name in self._open if tag == "li" and name in ("lost", "gained")), "")
            if mark and self._open[-1] == ("span", "name"):
                self.marked.append(f"{mark} {text}")


def page_of(panopticon: Panopticon, folder: Path, *names: str) -> Page:
    ran = panopticon("models", "diff", *(names or ("pets@1", "pets@2")), "--html", "page.html")
    assert ran.code == 0, ran.err
    return Page((folder / "page.html").read_text("utf-8"))


def test_the_page_shows_figures_and_the_results_of_both_versions_for_each_photo(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    page = page_of(panopticon, tmp_path)
    for text in (
        "pets@1 → pets@2: 3 of 4 images compared",
        "1 image left out: no output of pets@2",
        "Limit exceeded: coverage is 0.75, at least 0.99 is required",
        "The 2 images that differ most",
    ):
        assert text in page.texts
    assert page.marked == ["lost cat", "gained fox", "gained dog"]
    assert len(page.pictures) == 2
    for picture in page.pictures:
        head, _, body = picture.partition(",")
        assert head == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(b64decode(body))).size == (240, 240)


def test_the_page_fetches_nothing(panopticon: Panopticon, tmp_path: Path) -> None:
    page = page_of(panopticon, tmp_path)
    assert [uri for uri in page.fetched if not uri.startswith("data:")] == []
    text = (tmp_path / "page.html").read_text("utf-8")
    assert not re.search(r"https?://|@import|url\(|<script", text)
    assert "default-src 'none'" in text


def test_a_page_of_scores_shows_how_far_each_moved(panopticon: Panopticon, tmp_path: Path) -> None:
    page = page_of(panopticon, tmp_path, "light@1", "light@2")
    assert "0.5 → 0.75" in page.texts
    assert "2.00 deviations" in page.texts
    assert page.texts.count("+0.25") == 1 + 4
    assert len(page.pictures) == 4


def test_a_photo_that_cannot_be_fetched_is_replaced_by_its_reason(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    (tmp_path / "c.png").unlink()
    page = page_of(panopticon, tmp_path)
    assert len(page.pictures) == 1
    assert any(text.startswith("not_found") for text in page.texts)


def test_a_photo_that_cannot_be_decoded_is_left_out(panopticon: Panopticon, tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(b"GIF89a, and no more")
    assert len(page_of(panopticon, tmp_path).pictures) == 1


def test_a_photo_outside_the_file_roots_is_not_read(panopticon: Panopticon, tmp_path: Path) -> None:
    ran = panopticon(
        "--set",
        f"file_roots={tmp_path / 'cards'}",
        "models",
        "diff",
        "pets@1",
        "pets@2",
        "--html",
        "page.html",
    )
    assert ran.code == 0, ran.err
    assert Page((tmp_path / "page.html").read_text("utf-8")).pictures == []


def test_names_of_uploads_and_policies_are_text_and_never_markup(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    house.put_policy(PETS_2, f"renamed = {{ cat = '''{hostile}''' }}\n")
    house.plant(hostile, outputs={PETS_1: {"cat": 1}, PETS_2: {"cat": 1}})
    page = page_of(panopticon, tmp_path)
    assert "x" not in page.fetched
    assert f"gained {hostile}" in page.marked
    assert hostile in page.texts


def test_the_report_is_stored_without_a_page_too(panopticon: Panopticon, house: House) -> None:
    panopticon("models", "diff", "pets@1", "pets@2", "--sample", "1")
    panopticon("models", "diff", "pets@1", "pets@2")
    panopticon("models", "diff", "pets@2", "pets@1", "--ids", "-", stdin=b"a\n")
    kept = {(report.former, report.version): report.images for report in house.model("pets").reports}
    assert kept == {(1, 2): 3, (2, 1): 1}


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (
            ("pets", "pets@2"),
            b"",
            "no model version: 'pets'; write the model's name, @ and a version, as in tagger@1",
        ),
        (("pets@1", "pets@9"), b"", "pets@9 is not registered; registered: pets@1, pets@2"),
        (("nobody@1", "pets@2"), b"", "nobody is not registered; registered: light, pets"),
        (("pets@1", "pets@1"), b"", "pets@1 and pets@1 are one version; name two"),
        (
            ("pets@1", "light@2"),
            b"",
            "pets@1 is for tagging and light@2 for scoring; only versions of one model can be compared",
        ),
        (
            ("pets@1", "pets@2", "--sample", "5", "--ids", "-"),
            b"a\n",
            "--sample draws the images and --ids names them; use only one of them",
        ),
        (
            ("pets@1", "pets@2", "--ids", "-"),
            b"a\n\nb\n",
            "standard input, line 2: it is blank; write one image ID a line",
        ),
        (
            ("pets@1", "pets@2", "--ids", "-"),
            b"a\nb\na\n",
            "standard input, line 3: 'a' is on line 1 already; name each image once",
        ),
        (
            ("pets@1", "pets@2", "--ids", "-"),
            b"a\nb\x00\n",
            r"standard input, line 2: 'b\x00' is not an image ID: it must not contain control characters",
        ),
        (("pets@1", "pets@2", "--ids", "-"), b"", "standard input: it holds no image ID; write one a line"),
        (
            ("pets@1", "pets@2", "--ids", "missing"),
            b"",
            "cannot read missing: No such file or directory",
        ),
        (
            ("pets@1", "pets@2", "--html", "nowhere/page.html"),
            b"",
            "cannot write nowhere/page.html: name a file in an existing folder that you may write to",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_done(
    panopticon: Panopticon,
    house: House,
    arguments: tuple[str, ...],
    stdin: bytes,
    complaint: str,
) -> None:
    assert panopticon("models", "diff", *arguments, stdin=stdin).complaint == complaint
    assert house.model("pets").reports == ()


def test_settings_without_photos_are_refused_before_anything_is_compared(
    panopticon: Panopticon, house: House
) -> None:
    ran = panopticon("--set", "originals=photos", "models", "diff", "pets@1", "pets@2", "--html", "page.html")
    assert "setting 'originals' is 'photos'" in ran.complaint
    assert house.model("pets").reports == ()


def test_with_nothing_in_search_there_is_nothing_to_draw(
    panopticon: Panopticon, house: House, tmp_path: Path
) -> None:
    for number in (1, 2):
        house.register(card_of(VersionName(model="birds", version=number), "tagging", tmp_path))
    assert panopticon("models", "diff", "birds@1", "birds@2").complaint == (
        "no image with birds@1 is in search, so there is nothing to draw; name some with --ids"
    )


@pytest.mark.parametrize("size", ["0", "-1", "x", "1000000"])
def test_an_invalid_sample_size_is_refused(panopticon: Panopticon, size: str) -> None:
    ran = panopticon("models", "diff", "pets@1", "pets@2", "--sample", size)
    assert ran.code == 2
    assert "--sample" in ran.err


def test_the_help_of_models_lists_diff(panopticon: Panopticon) -> None:
    assert "  diff  " in panopticon("models", "--help").out
    assert "--html" in panopticon("models", "diff", "--help").out
