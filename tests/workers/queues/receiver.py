"""A process that receives from a queue: `receiver URL BATCH`.

It prints `ready`, waits for a line, leases its first batch and prints `holding`, waits for another line, then
acks that batch and continues until the queue is empty. It prints each leased body in a line too.
"""

from __future__ import annotations

import sys

from tests.contracts.examples import TAGGER
from workers.queues.sqlite import SqliteBroker


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str, batch: int) -> None:
    broker = SqliteBroker(url)
    queue = broker.model_queue(TAGGER)
    print_line("ready")
    waits = True
    sys.stdin.readline()
    while deliveries := queue.receive(max_live=batch, max_backfill=batch, wait_s=0):
        print_line("\n".join(delivery.body.decode() for delivery in deliveries))
        if waits:
            print_line("holding")
            sys.stdin.readline()
            waits = False
        queue.ack(deliveries)
    broker.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
