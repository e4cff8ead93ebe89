"""Text of strangers is printed with its invisible characters escaped, and an ID can be copied."""

from __future__ import annotations

import json
import subprocess
import unicodedata
from dataclasses import replace

import pytest

from panopticon.messages import Tag
from panopticon.results.documents import Part
from panopticon.results.outputs import Failure
from panopticon.results.undeliverable import NO_VERSION
from tests.contracts.examples import QUALITY, failure, image, key, result, retrying
from tests.house import House
from tests.workers.cli.conftest import Panopticon, Ran

MARK = "\u202e"
HOSTILE = f"a b'\u00e9{MARK}gpj.\u2066x\u200f\\"
IDS = [HOSTILE, "two words", "it's", "$HOME `id`", "a\u00a0b", "*", "a\u2028b"]


@pytest.fixture(autouse=True)
def images(house: House) -> None:
    """An image whose every text is hostile, and failures of images with odd names."""
    house.register()
    row = replace(image(HOSTILE), image_uri=f"s3://bucket/{MARK}.jpg")
    house.store.catalogue.put([row, *(image(name) for name in IDS[1:])])
    house.store.outputs.put_failures([bad(name) for name in IDS])
    waits = retrying(key(HOSTILE, version=QUALITY))
    house.store.outputs.put_failures([replace(waits, reason=MARK, detail=MARK)])
    unreadable = replace(failure(key("message-1", version=NO_VERSION)), message=MARK.encode())
    house.store.outputs.put_failures([unreadable])
    tag = Tag(label=f"cat{MARK}", probability=0.9, ancestors=("animal",))
    house.search.apply([result(HOSTILE, Part(revision=0, policy_number=1, tags=(tag,)))])


def bad(image_id: str) -> Failure:
    body = json.dumps({"image_id": image_id, "image_uri": f"file:///{MARK}.jpg"})
    return replace(failure(key(image_id), reason=f"corrupt{MARK}"), detail=MARK, message=body.encode())


def invisible(ran: Ran) -> set[str]:
    """Return the characters of both outputs that change how other text looks, or that show nothing."""
    return {char for char in ran.out + ran.err if unicodedata.category(char) in ("Cf", "Zl", "Zp")}


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", HOSTILE),
        ("show", HOSTILE, "--json"),
        ("dead", "list"),
        ("dead", "list", "--json"),
        ("dead", "show", HOSTILE),
        ("dead", "show", "message-1"),
        ("dead", "discard", HOSTILE, "--yes"),
        ("search", "animal"),
        ("search", MARK),
        ("status",),
        ("submit", MARK),
        ("show", MARK),
        (MARK,),
        ("--set", f"{MARK}=1", "status"),
        ("erase", "--ids", "-", "--yes"),
        ("audit", "--ids", "-"),
    ],
)
def test_no_command_prints_an_invisible_character(
    panopticon: Panopticon, pauses: list[float], arguments: tuple[str, ...]
) -> None:
    assert invisible(panopticon(*arguments, stdin=f"{HOSTILE}\n".encode())) == set()


def test_dead_list_prints_the_words_that_dead_show_takes(panopticon: Panopticon) -> None:
    listing = panopticon("dead", "list").out
    begin = listing.splitlines()[0].index("image")
    lines = [line for line in listing.splitlines() if line.startswith("2026") and " tagger@1 " in line]
    details = [line.index("/") for line in lines]
    words = [line[begin:end].strip() for line, end in zip(lines, details, strict=True)]
    typed = " ".join(words)
    copied = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {typed}"], capture_output=True, check=True, env={"LC_ALL": "C"}
    )
    ids = copied.stdout.decode().split("\0")[:-1]
    assert sorted(ids) == sorted(IDS)
    for image_id in ids:
        assert panopticon("dead", "show", image_id).code == 0


def test_the_next_command_names_the_image_so_that_it_can_be_copied(panopticon: Panopticon) -> None:
    shown = panopticon("dead", "show", "it's").out
    assert """Next: panopticon dead replay 'it'"'"'s'""" in shown
    escaped = r"$'a b\'é\xe2\x80\xaegpj.\xe2\x81\xa6x\xe2\x80\x8f\\'"
    assert f"Next: panopticon dead replay {escaped}" in panopticon("show", HOSTILE).out


def test_the_id_of_a_failure_is_never_cut_by_a_narrow_terminal(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_id = "x" * 200
    house.store.outputs.put_failures([failure(key(long_id))])
    monkeypatch.setattr("workers.cli.session.PIPED_WIDTH", 80)
    assert long_id in panopticon("dead", "list").out
