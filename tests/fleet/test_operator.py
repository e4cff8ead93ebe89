"""Repair and erasure by an operator: only here on three servers, with a fleet at work.

The rules are in tests/workers/inspection/ and tests/workers/maintenance/, the commands in tests/workers/cli/.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.originals.files import uri_of
from storage.search import open_search
from storage.search.opensearch.connection import OpenSearchConnection, OpenSearchTimeouts
from storage.search.opensearch.url import address_of
from tests import program
from tests.fleet.commands import panopticon, panopticon_json
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import keep_in, submit, wait_for, wait_until_empty
from tests.house import house_of
from tests.servers.rabbitmq import RabbitNode

NULL, SLOW = VERSIONS
IMAGES = [f"image-{number}" for number in range(30)]
GONE, KEPT = IMAGES[:10], IMAGES[10:]


def test_an_audit_finds_the_documents_that_search_has_lost_and_fix_brings_them_back(
    tmp_path: Path, on_three_servers: Settings
) -> None:
    settings = on_three_servers.model_copy(update={"settle_s": 1.0})
    ids = listed(tmp_path, IMAGES)
    with fleet(settings, tmp_path, [NULL]) as running:
        submit(settings, dict.fromkeys(IMAGES, (1, 2, 3)), keep=keep_in(tmp_path))
        wait_until_empty(settings, [NULL])
        forget_documents(settings)
        assert statuses(settings, ids, code=1) == dict.fromkeys(IMAGES, "not_in_search")
        panopticon_json(settings, "audit", "--ids", ids, "--fix")
        wait_until_empty(settings, [NULL])
        assert statuses(settings, ids) == dict.fromkeys(IMAGES, "stored")
        assert set(running.stop().values()) == {0}


def test_a_lost_index_is_not_replaced_by_an_empty_one_and_is_rebuilt_from_the_list_of_ids(
    tmp_path: Path, on_three_servers: Settings
) -> None:
    rebuild, index = ("search", "rebuild", "--all"), address_of(on_three_servers.search_url).index
    with fleet(on_three_servers, tmp_path, [NULL]) as running:
        submit(on_three_servers, dict.fromkeys(IMAGES[1:], (1, 2, 3)), keep=keep_in(tmp_path))
        wait_until_empty(on_three_servers, [NULL])
        counts = panopticon_json(on_three_servers, "status")["images"]
        assert (counts["listed"], counts["documents"], counts["lacking"]) == (29, 29, 0)
        ask_search(on_three_servers, "DELETE", f"/{index}-000001")
        submit(on_three_servers, {IMAGES[0]: (1, 2, 3)}, keep=keep_in(tmp_path))
        wait_for(lambda: stored(on_three_servers, IMAGES[:1], NULL) == {IMAGES[0]})
        for words in (("search", "--order", "newest"), ("audit", "--all"), ("show", IMAGES[1])):
            done = program.run(*words, settings=on_three_servers)
            line = f"there is no index {index}; to rebuild it: panopticon search rebuild --all"
            assert (done.returncode, done.stderr.count("\n"), line in done.stderr) == (69, 1, True)
        assert line in panopticon(on_three_servers, "status")
        doctor = panopticon_json(on_three_servers, "doctor", code=1)["checks"]
        (found,) = [each for each in doctor if each["check"] == "search: documents"]
        assert found["seen"].startswith("there is no index, and the list of IDs has ")
        # The newest upload may still be in the queue of the parked indexer.
        assert panopticon_json(on_three_servers, *rebuild)["rebuilt"]["images"] in (29, 30)
        wait_until_empty(on_three_servers, [NULL])
        with house_of(on_three_servers) as house:
            assert set(house.search.get(IMAGES)) == set(IMAGES)
        assert panopticon_json(on_three_servers, "audit", "--all")["ok"]
        assert set(running.stop().values()) == {0}


def test_a_queue_deleted_under_load_is_created_again_and_an_audit_brings_its_images_back(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode
) -> None:
    settings = on_three_servers.model_copy(update={"settle_s": 2.0})
    many = [f"image-{number}" for number in range(300)]
    ids = listed(tmp_path, many)
    with fleet(settings, tmp_path, [SLOW]) as running:
        submit(settings, dict.fromkeys(many, (1, 2, 3)), keep=keep_in(tmp_path))
        wait_for(lambda: len(stored(settings, many)) >= 10)
        vhost = urlsplit(settings.broker).path.removeprefix("/")
        rabbit_node.management.ask("DELETE", f"/api/queues/{vhost}/panopticon.slow.1.live")
        wait_until_empty(settings, [SLOW])
        found = statuses(settings, ids, code=1)
        lost = set(many) - stored(settings, many)
        assert {name for name, status in found.items() if status == "lost"} == lost > set()
        panopticon_json(settings, "audit", "--ids", ids, "--fix")
        wait_until_empty(settings, [SLOW])
        assert statuses(settings, ids) == dict.fromkeys(many, "stored")
        submit(settings, {"later": (1, 2, 3)}, keep=keep_in(tmp_path))
        wait_for(lambda: stored(settings, ["later"]) == {"later"})
        assert set(running.stop().values()) == {0}


def test_a_dead_image_is_listed_replayed_and_stored(tmp_path: Path, on_three_servers: Settings) -> None:
    def spoilt(name: str, picture: bytes) -> str:
        (tmp_path / name).write_bytes(picture[:20])
        return uri_of(os.fsencode(tmp_path / name))

    chosen = ("--model", str(NULL), "--reason", "truncated")
    with fleet(on_three_servers, tmp_path, [NULL]) as running:
        submit(on_three_servers, {"whole": (1, 2, 3)}, keep=keep_in(tmp_path))
        submit(on_three_servers, {"spoilt": (1, 2, 3)}, keep=spoilt)
        wait_until_empty(on_three_servers, [NULL])
        (dead,) = panopticon_json(on_three_servers, "dead", "list", *chosen)["failures"]
        assert (dead["image_id"], dead["model"]) == ("spoilt", str(NULL))
        (tmp_path / "spoilt.png").write_bytes((tmp_path / "whole.png").read_bytes())
        panopticon(on_three_servers, "dead", "replay", *chosen)
        wait_until_empty(on_three_servers, [NULL])
        assert panopticon_json(on_three_servers, "dead", "list", *chosen)["failures"] == []
        assert statuses(on_three_servers, listed(tmp_path, ["spoilt"])) == {"spoilt": "stored"}
        assert set(running.stop().values()) == {0}


def test_an_erased_image_is_gone_from_store_and_search_and_the_others_stay(
    tmp_path: Path, on_three_servers: Settings
) -> None:
    ids = listed(tmp_path, GONE)
    with fleet(on_three_servers, tmp_path) as running:
        submit(on_three_servers, dict.fromkeys(IMAGES, (1, 2, 3)), keep=keep_in(tmp_path))
        wait_until_empty(on_three_servers)
        erased = panopticon_json(on_three_servers, "erase", "--ids", ids, "--yes")["erased"]
        assert (erased["images"], erased["outputs"]) == (len(GONE), 2 * len(GONE))
        wait_until_empty(on_three_servers)
        assert panopticon_json(on_three_servers, "erase", "--ids", ids, "--check")["final"]
        assert set(running.stop().values()) == {0}
    with house_of(on_three_servers) as house:
        documents = house.search.get(IMAGES)
        assert [name for name in IMAGES if documents[name].deleted] == GONE
        assert not any(documents[name].parts for name in GONE)
        assert [name for name in IMAGES if house.store.outputs.versions_of(name)] == KEPT


def listed(folder: Path, image_ids: Sequence[str]) -> str:
    """Return the path of a file with these IDs."""
    (folder / "ids").write_text("\n".join(image_ids))
    return str(folder / "ids")


def stored(settings: Settings, image_ids: Sequence[str], version: VersionName = SLOW) -> set[str]:
    """Return the images with an output of the version."""
    with house_of(settings) as house:
        return {key.image_id for key in house.store.outputs.get(image_ids, version)}


def forget_documents(settings: Settings) -> None:
    """Delete every document, as the loss of a disk does."""
    everything: Any = {"query": {"match_all": {}}}
    path = f"/{address_of(settings.search_url).index}*"
    ask_search(settings, "POST", f"{path}/_refresh")
    ask_search(settings, "POST", f"{path}/_delete_by_query", everything, refresh="true")
    assert open_search(settings.search_url).get(IMAGES) == {}


def ask_search(settings: Settings, method: str, path: str, body: Any = None, **params: str) -> None:
    """Send the search server a request without the adapter."""
    connection = OpenSearchConnection(address_of(settings.search_url), OpenSearchTimeouts())
    connection.ask(method, path, body, **params)
    connection.close()


def statuses(settings: Settings, ids: str, *, code: int = 0) -> dict[str, str]:
    """Return the status of each image in an audit."""
    results = panopticon_json(settings, "audit", "--ids", ids, code=code)["verdicts"]
    return {result["image_id"]: result["verdict"] for result in results}
