"""A version is taken out of service while its worker is at work and another version goes on."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from panopticon.settings import Settings
from storage.stores import open_store
from tests.fleet.commands import panopticon, told
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import give_up_after, submit, wait_for
from tests.servers.rabbitmq import RabbitNode
from workers.queues import broker_of
from workers.submission.index_plan import wait_until_done

STAYS, GOES = VERSIONS
IMAGES = [f"image-{number}" for number in range(800)]


@pytest.mark.parametrize("discard", [False, True], ids=["worked off", "thrown away"])
def test_a_version_retired_under_load_leaves_nothing_undecided_and_no_queue(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode, discard: bool
) -> None:
    settings = on_three_servers.model_copy(update={"registry_every_s": 0.5, "retry_delays_s": (1.0,)})
    (tmp_path / "ids").write_text("\n".join(IMAGES))
    with fleet(settings, tmp_path) as running:
        panopticon(settings, "models", "deactivate", GOES.model)
        submit(settings, tmp_path, {name: (number % 250, 7, 7) for number, name in enumerate(IMAGES)})
        with closing(open_store(settings.store_url)) as store:
            wait_for(lambda: len(store.outputs.get(IMAGES, GOES)) >= 10)
        retired = told(settings, "models", "retire", str(GOES), "--yes", *["--discard"] * discard)
        assert retired["queues_deleted"]
        assert running.ended(GOES.model) == 0
        with closing(broker_of(settings)) as broker:
            wait_until_done(broker, [STAYS], watch=give_up_after(60.0), every_s=0.3)
            assert broker.topology.bound() == (STAYS,)
        assert set(running.stop().values()) == {0}
    vhost = urlsplit(settings.broker).path.removeprefix("/")
    assert [name for name in rabbit_node.management.queues(vhost) if f".{GOES.model}." in name] == []
    assert marks(settings, tmp_path, STAYS.model) == {"stored": len(IMAGES)}
    thrown_away = {"skipped": retired["discarded"]} if discard else {}
    assert (retired["discarded"] > 0) == discard
    assert marks(settings, tmp_path, GOES.model) == {
        "stored": len(IMAGES) - retired["discarded"],
        **thrown_away,
    }


def marks(settings: Settings, folder: Path, model: str) -> Counter[str]:
    """What an audit says of the images, counted."""
    audited = told(settings, "audit", "--ids", str(folder / "ids"), "--model", f"{model}@1")
    return Counter(verdict["verdict"] for verdict in audited["verdicts"])
