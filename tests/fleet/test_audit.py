"""What somebody purged by hand is named, exactly, and brought back."""

from __future__ import annotations

from pathlib import Path

from panopticon.settings import Settings
from tests.fleet.auditing import audit
from tests.fleet.processes import VERSIONS
from tests.fleet.trial import submit, trial
from tests.servers.rabbitmq import RabbitNode
from workers.queues import broker_of


def test_a_purged_queue_is_named_by_the_audit_and_fix_brings_it_back(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode
) -> None:
    settings = on_three_servers.model_copy(update={"settle_s": 10.0})
    with trial(settings, tmp_path) as run:
        run.end()
        run.fleet.stop()
        extra = {f"extra-{number}": (number, 9, 9) for number in range(20)}
        submit(settings, tmp_path, extra)
        broker = broker_of(settings)
        queue = broker.model_queue(VERSIONS[1])
        while purged := queue.receive(max_live=50, max_backfill=0, wait_s=1.0):
            queue.ack(purged)
        broker.close()
        run.fleet.start()
        run.end()
        (tmp_path / "ids").write_text("\n".join([*run.ids, *extra]))
        code, lost = audit(settings, tmp_path)
        assert (code, lost) == (1, {(name, str(VERSIONS[1])) for name in extra})
        assert audit(settings, tmp_path, "--fix")[0] == 0
        run.end()
        assert audit(settings, tmp_path) == (0, set())
