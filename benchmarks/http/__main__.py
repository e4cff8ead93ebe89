"""Compare this service with other servers of models over HTTP: `python -m benchmarks.http`.

Each peer runs in a virtual environment that this program makes, with the same code for the model, the same
engines and the same pictures, so that only serving differs. Servers take turns within each round. Needs `wrk`
(Debian: apt install wrk). Everything listens on loopback only; a server that does not by itself gets a
network of its own, which needs root, or is left out with that reason.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.http.contestants import GATE, OURS, PEERS, Peer, Variant, Ways, our_ways
from benchmarks.http.measuring import Bench, Lengths, Round, RunningServer, Subject
from benchmarks.http.peers.config import PeerConfig
from benchmarks.http.peers.model import PeerModel
from benchmarks.http.plots import write_plots
from benchmarks.http.processes import ServerError, adopt_orphans, end_all
from benchmarks.http.requests import photos, tiny_pictures
from benchmarks.http.summary import NULL, TAGGER, Summary, goals, summarise, table
from benchmarks.http.venvs import VenvError, interpreter_of
from benchmarks.http.wrk import Wrk
from panopticon.engines import open_engine
from panopticon.models import find_card, parse_version
from panopticon.settings import Settings
from workers.worker.run import prepare_model

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "benchmarks" / "models"
PICTURES = 32
FULL = Lengths(warm_up_s=3, closed_s=6, open_s=10, drain_s=10)
QUICK = Lengths(warm_up_s=1, closed_s=2, open_s=3, drain_s=4)
FULL_ROUNDS = 3
TRIAL_S = 3
BUSY_CLIENTS = 64


@dataclass(slots=True, kw_only=True)
class Progress:
    """Everything known of one model so far."""

    settings: dict[str, str] = field(default_factory=dict)
    """Server → the settings that were chosen."""
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Server → settings → figures of the trial."""
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Server → the reason."""


class Comparison:
    """All servers with one model."""

    def __init__(
        self, subject: Subject, *, peers: Mapping[Peer, Path], ours: bool, folder: Path, quick: bool
    ) -> None:
        self._subject = subject
        self._peers = peers
        self._ours = ours
        self._quick = quick
        self._cores = len(os.sched_getaffinity(0))
        self._bench = Bench(subject, folder=folder, cores=self._cores)
        self.progress = Progress()

    def run(self, rounds: int) -> None:
        starts: dict[str, Callable[[], RunningServer]] = {}
        if self._ours:
            variant = self._choose(OURS, our_ways, self._bench.start_ours)
            if variant is not None:
                starts[OURS] = partial(self._bench.start_ours, variant)
                self.progress.settings[OURS] = f"{variant}, limit: gate {GATE}"
        for peer, interpreter in self._peers.items():
            start = partial(self._bench.start_peer, peer, interpreter)
            variant = self._choose(peer.name, peer.ways, start)
            if variant is not None:
                starts[peer.name] = partial(start, variant)
                self.progress.settings[peer.name] = f"{variant}, limit: {peer.limits}"
        for number in range(rounds):
            # Each server is first in turn, and last.
            names = list(starts)
            for name in names[number % max(len(names), 1) :] + names[: number % max(len(names), 1)]:
                if name not in self.progress.left_out:
                    self._round(name, starts[name], number)

    def summaries(self) -> dict[str, Summary]:
        rounds = self.progress.rounds
        order = [OURS, *(peer.name for peer in self._peers)]
        return {name: summarise(rounds[name]) for name in order if name in rounds}

    def _round(self, name: str, start: Callable[[], RunningServer], number: int) -> None:
        say(f"{self._subject.model}: round {number + 1}: {name}")
        try:
            measured = self._bench.round(start, QUICK if self._quick else FULL, seed=number + 1)
        except ServerError as error:
            self.progress.left_out[name] = str(error)
            return
        self.progress.rounds.setdefault(name, []).append(measured)

    def _choose(self, name: str, ways: Ways, start: Callable[[Variant], RunningServer]) -> Variant | None:
        """Return the best settings of a server: the cheapest with the null model, else the fastest."""
        variants = ways(cores=self._cores, batch=self._subject.max_batch)
        if self._quick:
            return variants[0]
        best, best_score = None, -math.inf
        for variant in variants:
            say(f"{self._subject.model}: trial of {name}, {variant}")
            try:
                server = start(variant)
            except ServerError as error:
                self.progress.left_out.setdefault(name, str(error))
                continue
            try:
                self._bench.warm_up(server, seconds=1)
                closed = self._bench.closed(server, clients=BUSY_CLIENTS, seconds=TRIAL_S)
            finally:
                server.process.stop()
            self.progress.trials.setdefault(name, {})[str(variant)] = asdict(closed)
            score = -closed.cpu_ms if self._subject.model == NULL else closed.images_per_s
            if score > best_score:
                best, best_score = variant, score
        if best is not None:
            self.progress.left_out.pop(name, None)
        return best


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare_subject(model: str, folder: Path) -> Subject:
    """Make the pictures of a model, and the right answers to them."""
    models_dir = MODELS if model == NULL else None
    settings = replace_models_dir(Settings(), models_dir)
    card = find_card(parse_version(model), models_dir)
    prepare_model(card, settings)
    make = tiny_pictures if model == NULL else photos
    pictures = make(folder / "photos", count=PICTURES)
    steps = folder / "steps"
    steps.mkdir()
    path = card.folder / "card.toml"
    config = PeerConfig(
        card=str(path),
        cache_dir=str(settings.cache_dir),
        steps_dir=str(steps),
        port=0,
        processes=1,
        threads=1,
        max_batch=1,
        capacity=1,
    )
    reference = PeerModel(config)
    return Subject(
        model=model,
        card=path,
        models_dir=models_dir,
        cache_dir=settings.cache_dir,
        pictures=tuple(pictures),
        expected=tuple(answer for picture in pictures for answer in reference.answer([picture])),
        max_batch=open_engine(card, cache_dir=settings.cache_dir).best_batch,
    )


def replace_models_dir(settings: Settings, models_dir: Path | None) -> Settings:
    return settings.model_copy(update={"models_dir": models_dir})


def peers_with_environments(names: Sequence[str], venvs: Path) -> tuple[dict[Peer, Path], dict[str, str]]:
    """Make the environments of these peers. Returns their interpreters, and why others have none."""
    interpreters: dict[Peer, Path] = {}
    left_out = {}
    for peer in PEERS:
        if peer.name not in names:
            continue
        say(f"environment of {peer.name} in {venvs / peer.name}")
        try:
            interpreters[peer] = interpreter_of(peer.name, venvs)
        except VenvError as error:
            left_out[peer.name] = f"its environment cannot be made: {error}"
    return interpreters, left_out


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    known = [OURS, *(peer.name for peer in PEERS)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--only", default=",".join(known), metavar="SERVERS", help=f"of {', '.join(known)}")
    parser.add_argument("--models", default=f"{NULL},{TAGGER}", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=0, help=f"default: {FULL_ROUNDS}, or 1 with --quick")
    parser.add_argument(
        "--quick", action="store_true", help="one short round, each peer with its first settings, without ray"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write plots, such as to docs")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venv-bench", metavar="FOLDER")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    options.models = options.models.split(",")
    unknown = [name for name in options.only if name not in known]
    if unknown:
        parser.error(f"--only: no server is called {unknown[0]!r}; known: {', '.join(known)}")
    if options.quick and options.only == known:
        options.only.remove("ray")
    options.rounds = options.rounds or (1 if options.quick else FULL_ROUNDS)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    options = read_options(arguments)
    if not Wrk.is_installed():
        say("wrk is not installed; on Debian and Ubuntu: apt install wrk")
        return 2
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return compare(options)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    finally:
        end_all()


def compare(options: argparse.Namespace) -> int:
    peers, without_environment = peers_with_environments(options.only, options.venvs)
    comparisons: dict[str, Comparison] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        for model in options.models:
            folder = Path(name) / model.replace("@", "-")
            folder.mkdir()
            comparison = Comparison(
                prepare_subject(model, folder),
                peers=peers,
                ours=OURS in options.only,
                folder=folder,
                quick=options.quick,
            )
            comparison.progress.left_out.update(without_environment)
            comparison.run(options.rounds)
            comparisons[model] = comparison
        # Daemons may still write into the folder.
        end_all()
    report(comparisons, options)
    return 0


def report(comparisons: Mapping[str, Comparison], options: argparse.Namespace) -> None:
    results = {model: comparison.summaries() for model, comparison in comparisons.items()}
    for model, comparison in comparisons.items():
        print(table(model, results[model], comparison.progress.settings))
        for name, reason in comparison.progress.left_out.items():
            print(f"  {name:12}left out: {reason}")
        print()
    reached = list(goals(results))
    print("\n".join(map(str, reached)))
    if options.json:
        measured = {
            "cores": len(os.sched_getaffinity(0)),
            "load_average": os.getloadavg(),
            "rounds": options.rounds,
            "goals": [{**asdict(goal), "is_met": goal.is_met} for goal in reached],
            "medians": {
                model: {name: asdict(one) for name, one in summaries.items()}
                for model, summaries in results.items()
            },
            "progress": {model: asdict(comparison.progress) for model, comparison in comparisons.items()},
        }
        options.json.write_text(json.dumps(measured, indent=2, default=str))
    if options.plots:
        for path in write_plots(results, options.plots):
            say(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
