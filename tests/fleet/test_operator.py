"""What an operator mends, replays and erases on the three servers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.originals.files import uri_of
from storage.search import open_search
from storage.search.opensearch.connection import OpenSearchConnection, OpenSearchTimeouts
from storage.search.opensearch.url import address_of
from storage.stores import open_store
from tests.fleet.commands import panopticon, told
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import give_up_after, submit, wait_for
from tests.servers.rabbitmq import RabbitNode
from workers.queues import broker_of
from workers.submission.index_plan import wait_until_done

NULL, SLOW = VERSIONS
IMAGES = [f"image-{number}" for number in range(30)]
GONE, KEPT = IMAGES[:10], IMAGES[10:]


def test_what_search_has_lost_the_audit_names_and_fix_brings_back(
    tmp_path: Path, on_three_servers: Settings
) -> None:
    settings = on_three_servers.model_copy(update={"settle_s": 1.0})
    ids = listed(tmp_path, IMAGES)
    with fleet(settings, tmp_path, [NULL]) as running:
        submit(settings, tmp_path, dict.fromkeys(IMAGES, (1, 2, 3)))
        wait(settings)
        forget_documents(settings)
        assert verdicts(settings, ids, code=1) == dict.fromkeys(IMAGES, "not_in_search")
        told(settings, "audit", "--ids", ids, "--fix")
        wait(settings)
        assert verdicts(settings, ids) == dict.fromkeys(IMAGES, "stored")
        assert set(running.stop().values()) == {0}


def test_a_queue_deleted_under_load_is_made_again_and_what_was_in_it_is_named_and_brought_back(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode
) -> None:
    settings = on_three_servers.model_copy(update={"settle_s": 2.0})
    many = [f"image-{number}" for number in range(300)]
    ids = listed(tmp_path, many)
    with fleet(settings, tmp_path, [SLOW]) as running:
        submit(settings, tmp_path, dict.fromkeys(many, (1, 2, 3)))
        wait_for(lambda: len(stored(settings, many)) >= 10)
        vhost = urlsplit(settings.broker).path.removeprefix("/")
        rabbit_node.management.ask("DELETE", f"/api/queues/{vhost}/panopticon.slow.1.live")
        wait(settings, [SLOW])
        found = verdicts(settings, ids, code=1)
        lost = set(many) - stored(settings, many)
        assert {name for name, verdict in found.items() if verdict == "lost"} == lost > set()
        told(settings, "audit", "--ids", ids, "--fix")
        wait(settings, [SLOW])
        assert verdicts(settings, ids) == dict.fromkeys(many, "stored")
        submit(settings, tmp_path, {"later": (1, 2, 3)})
        wait_for(lambda: stored(settings, ["later"]) == {"later"})
        assert set(running.stop().values()) == {0}


def test_a_dead_image_is_listed_replayed_and_stored(tmp_path: Path, on_three_servers: Settings) -> None:
    def spoilt(name: str, picture: bytes) -> str:
        (tmp_path / name).write_bytes(picture[:20])
        return uri_of(os.fsencode(tmp_path / name))

    chosen = ("--model", str(NULL), "--reason", "truncated")
    with fleet(on_three_servers, tmp_path, [NULL]) as running:
        submit(on_three_servers, tmp_path, {"whole": (1, 2, 3)})
        submit(on_three_servers, tmp_path, {"spoilt": (1, 2, 3)}, keep=spoilt)
        wait(on_three_servers)
        (dead,) = told(on_three_servers, "dead", "list", *chosen)["failures"]
        assert (dead["image_id"], dead["model"]) == ("spoilt", str(NULL))
        (tmp_path / "spoilt.png").write_bytes((tmp_path / "whole.png").read_bytes())
        panopticon(on_three_servers, "dead", "replay", *chosen)
        wait(on_three_servers)
        assert told(on_three_servers, "dead", "list", *chosen)["failures"] == []
        assert verdicts(on_three_servers, listed(tmp_path, ["spoilt"])) == {"spoilt": "stored"}
        assert set(running.stop().values()) == {0}


def test_an_image_that_is_erased_is_gone_from_store_and_search_and_others_are_not(
    tmp_path: Path, on_three_servers: Settings
) -> None:
    ids = listed(tmp_path, GONE)
    with fleet(on_three_servers, tmp_path) as running:
        submit(on_three_servers, tmp_path, dict.fromkeys(IMAGES, (1, 2, 3)))
        wait(on_three_servers, VERSIONS)
        erased = told(on_three_servers, "erase", "--ids", ids, "--yes")["erased"]
        assert (erased["images"], erased["outputs"]) == (len(GONE), 2 * len(GONE))
        wait(on_three_servers, VERSIONS)
        assert told(on_three_servers, "erase", "--ids", ids, "--check")["final"]
        assert set(running.stop().values()) == {0}
    documents = open_search(on_three_servers.search_url).get(IMAGES)
    assert [name for name in IMAGES if documents[name].deleted] == GONE
    assert not any(documents[name].parts for name in GONE)
    with closing(open_store(on_three_servers.store_url)) as store:
        assert [name for name in IMAGES if store.outputs.versions_of(name)] == KEPT


def listed(folder: Path, image_ids: Sequence[str]) -> str:
    """A file of them."""
    (folder / "ids").write_text("\n".join(image_ids))
    return str(folder / "ids")


def wait(settings: Settings, versions: Sequence[VersionName] = (NULL,)) -> None:
    """Until every queue is empty."""
    with closing(broker_of(settings)) as broker:
        wait_until_done(broker, versions, watch=give_up_after(60.0), every_s=0.3)


def stored(settings: Settings, image_ids: Sequence[str]) -> set[str]:
    """Those that the slow model has seen."""
    with closing(open_store(settings.store_url)) as store:
        return {key.image_id for key in store.outputs.get(image_ids, SLOW)}


def forget_documents(settings: Settings) -> None:
    """As a server does that lost its disk."""
    search, address = open_search(settings.search_url), address_of(settings.search_url)
    connection = OpenSearchConnection(address, OpenSearchTimeouts())
    everything: Any = {"query": {"match_all": {}}}
    path = f"/{address.index}*"
    connection.ask("POST", f"{path}/_refresh")
    connection.ask("POST", f"{path}/_delete_by_query", everything, refresh="true")
    connection.close()
    assert search.get(IMAGES) == {}


def verdicts(settings: Settings, ids: str, *, code: int = 0) -> dict[str, str]:
    """What an audit says of each image."""
    audited = told(settings, "audit", "--ids", ids, code=code)["verdicts"]
    return {verdict["image_id"]: verdict["verdict"] for verdict in audited}
