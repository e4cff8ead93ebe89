"""An audit of three servers: only here is a queue purged by hand, and the loss found and repaired.

The rules of an audit are in tests/workers/inspection/test_audit.py, its command in tests/workers/cli/.
"""

from __future__ import annotations

from pathlib import Path

from panopticon.settings import Settings
from tests.fleet.commands import audit
from tests.fleet.processes import VERSIONS
from tests.fleet.trial import keep_in, submit, trial
from tests.house import house_of
from tests.servers.rabbitmq import RabbitNode


def test_an_audit_finds_exactly_the_images_of_a_purged_queue_and_fix_brings_them_back(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode
) -> None:
    settings = on_three_servers.model_copy(update={"settle_s": 2.0})
    with trial(settings, tmp_path) as run:
        run.end()
        run.fleet.stop()
        extra = {f"extra-{number}": (number, 9, 9) for number in range(20)}
        submit(settings, extra, keep=keep_in(tmp_path))
        with house_of(settings) as house:
            queue = house.broker.model_queue(VERSIONS[1])
            while purged := queue.receive(max_live=50, max_backfill=0, wait_s=1.0):
                queue.ack(purged)
        run.fleet.start()
        run.end()
        ids = tmp_path / "ids"
        ids.write_text("\n".join([*run.ids, *extra]))
        code, lost = audit(settings, ids)
        assert (code, lost) == (1, {(name, str(VERSIONS[1])) for name in extra})
        assert audit(settings, ids, "--fix")[0] == 0
        run.end()
        assert audit(settings, ids) == (0, set())
