"""Retirement of a version: only here does its worker run meanwhile, and another version go on.

The rules are in tests/workers/maintenance/test_retire.py.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from panopticon.settings import Settings
from tests.fleet.commands import panopticon, panopticon_json
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import keep_in, submit, wait_for, wait_until_empty
from tests.house import house_of
from tests.servers.rabbitmq import RabbitNode

STAYS, GOES = VERSIONS
IMAGES = [f"image-{number}" for number in range(800)]


@pytest.mark.parametrize("discard", [False, True], ids=["processed", "discarded"])
def test_a_version_retired_under_load_leaves_no_pending_image_and_no_queue(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode, discard: bool
) -> None:
    settings = on_three_servers.model_copy(update={"registry_every_s": 0.5, "retry_delays_s": (1.0,)})
    (tmp_path / "ids").write_text("\n".join(IMAGES))
    with fleet(settings, tmp_path) as running:
        panopticon(settings, "models", "deactivate", GOES.model)
        colours = {name: (number % 250, 7, 7) for number, name in enumerate(IMAGES)}
        first = dict(islice(colours.items(), len(IMAGES) // 2))
        later = {name: colours[name] for name in IMAGES if name not in first}
        submit(settings, first, keep=keep_in(tmp_path))
        with house_of(settings) as house:
            wait_for(lambda: len(house.store.outputs.get(IMAGES, GOES)) >= 10)
            retire = partial(panopticon_json, settings, "models", "retire", str(GOES), "--yes")
            if discard:
                # While the model is silent, messages are sure to wait in the queue.
                with ThreadPoolExecutor() as pool, running.silent_model():
                    submit(settings, later, keep=keep_in(tmp_path))
                    retiring = pool.submit(retire, "--discard")
                    queue = house.real.broker.model_queue(GOES)
                    wait_for(lambda: not any(depth.ready for depth in queue.depth().values()))
                retired = retiring.result()
            else:
                submit(settings, later, keep=keep_in(tmp_path))
                retired = retire()
        assert retired["queues_deleted"]
        assert running.exit_code(GOES.model) == 0
        wait_until_empty(settings, [STAYS])
        with house_of(settings) as house:
            assert house.broker.topology.bound() == (STAYS,)
        assert set(running.stop().values()) == {0}
    vhost = urlsplit(settings.broker).path.removeprefix("/")
    assert [name for name in rabbit_node.management.queues(vhost) if f".{GOES.model}." in name] == []
    assert statuses(settings, tmp_path, STAYS.model) == {"stored": len(IMAGES)}
    skipped = {"skipped": retired["discarded"]} if discard else {}
    assert (retired["discarded"] > 0) == discard
    assert statuses(settings, tmp_path, GOES.model) == {
        "stored": len(IMAGES) - retired["discarded"],
        **skipped,
    }


def statuses(settings: Settings, folder: Path, model: str) -> Counter[str]:
    """Return how many images have each status in an audit."""
    audited = panopticon_json(settings, "audit", "--ids", str(folder / "ids"), "--model", f"{model}@1")
    return Counter(result["verdict"] for result in audited["verdicts"])
