"""A child for tests: it prints its ID and sleeps. A word on its command line says how it takes SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import time


def main() -> None:
    how = sys.argv[1:]
    signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"here\n"))
    if how == ["ignore"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how == ["drain"]:
        # As a worker does: a second signal would end it at once.
        def drain(*_: object) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(0.5)
            os.write(1, b"drained\n")
            os._exit(0)

        signal.signal(signal.SIGTERM, drain)
    os.write(1, f"{os.getpid()}\n".encode())
    while True:
        time.sleep(600)


if __name__ == "__main__":
    main()
