"""The health of the workers and indexers that run, as their heartbeats show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from panopticon.interfaces import Finding
from panopticon.registry.heartbeats import Heartbeat, ProcessRole, ProcessState
from panopticon.registry.records import VersionEntry
from panopticon.results.outputs import VersionName
from storage.health.findings import fail, ok, warn


def process_findings(
    processes: Sequence[Heartbeat], known: Mapping[VersionName, VersionEntry]
) -> Iterator[Finding]:
    """Yield the processes that run, those with another model than the registered one, and those parked."""
    counts = Counter(process.works_on for process in processes)
    yield ok("processes", ", ".join(f"{number} × {name}" for name, number in counts.items()) or "none runs")
    digests = {str(name): entry.digest for name, entry in known.items()}
    for process in processes:
        name = f"process {process.works_on} at {process.place}"
        registered = digests.get(process.version, process.digest)
        if process.digest != registered:
            yield fail(
                name,
                f"its digest is {process.digest[:12]}, the registered digest is {registered[:12]}",
                "stop it, and install the release that was registered",
            )
        if process.state is ProcessState.PARKED:
            yield warn(
                name, f"parked: {process.component}: {process.reason}", "it resumes once that is repaired"
            )
        elif process.reason:
            yield warn(name, process.reason, "see the log of the process")


def without_worker(waiting: Mapping[VersionName, int], processes: Iterable[Heartbeat]) -> Iterator[Finding]:
    """Yield a finding for each version whose messages wait though none of its workers runs.

    `waiting`: version → messages in its queue that nobody holds.
    """
    running = {process.version for process in processes}
    for version, messages in waiting.items():
        if messages and str(version) not in running:
            yield warn(
                f"processes of {version}",
                f"{messages:,} waiting, and no worker of {version} runs",
                f"panopticon worker --model {version}",
            )


def without_indexer(waiting: int, processes: Iterable[Heartbeat]) -> Iterator[Finding]:
    """Yield a finding if `waiting` messages for the indexer are held by nobody, and no indexer runs."""
    if waiting and not any(process.role is ProcessRole.INDEXER for process in processes):
        yield warn(
            "processes of the indexer",
            f"{waiting:,} waiting, and no indexer runs",
            "panopticon indexer",
        )
