"""A replacement for `cqlsh` in setup.sh of docker-compose: it runs the statements of standard input."""

from __future__ import annotations

import argparse
import os
import sys

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable


def main() -> int:
    """Run statements at CQL_ADDRESS, host and port, in place of the name that only containers can resolve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--username", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    asked = parser.parse_args()
    host, _, port = os.environ["CQL_ADDRESS"].partition(":")
    login = PlainTextAuthProvider(username=asked.username, password=asked.password)
    with Cluster([host], port=int(port), auth_provider=login) as cluster:
        try:
            session = cluster.connect()
        except NoHostAvailable as error:
            sys.stderr.write(f"{error}\n")
            return 1
        for statement in filter(str.strip, sys.stdin.read().split(";")):
            session.execute(statement)
    return 0


if __name__ == "__main__":
    sys.exit(main())
