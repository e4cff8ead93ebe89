"""`panopticon classify`: tags and scores of photos on standard output, without queue and database."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import click

from panopticon.metrics import Metrics
from panopticon.models import find_card, parse_version
from panopticon.models.weights import refuse_altered_weights
from panopticon.settings import Settings
from storage.originals import open_originals
from storage.sqlite.database import SCHEME, path_of
from workers.classification.classifier import Classifier
from workers.classification.paths import ArrivingPaths, GivenPaths, OpenStream, PathSource, StandardInput
from workers.classification.photo_json import AskedModel, Shown, has_error, photo_json
from workers.classification.policies import policy_for
from workers.cli.session import Session, pass_session
from workers.model_process.client import ModelClient
from workers.runtime.stop_signals import interrupt_on_stop
from workers.worker.run import prepare_model

EXIT_NOT_ALL_CLASSIFIED = 1
ANY_FOLDER = (Path("/"),)


@click.command("classify")
@click.argument("paths", nargs=-1, metavar="[PATH]…")
@click.option(
    "--model",
    "--models",
    "models",
    multiple=True,
    metavar="NAME@VERSION[,…]",
    help="Model versions to run, any number of times [default: the setting `models`].",
)
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end with a NUL (find -print0).")
@click.option(
    "--top-k", type=click.IntRange(0), help="Tags of each model at most [default: all that its policy keeps]."
)
@click.option("--vectors", is_flag=True, help="Print each model's vector too, as a worker would store it.")
@pass_session
def classify_command(
    session: Session,
    *,
    paths: tuple[str, ...],
    models: tuple[str, ...],
    null: bool,
    top_k: int | None,
    vectors: bool,
) -> None:
    """Print tags and scores of photos: one JSON line for each PATH, in their order.

    Without PATH, paths are read from standard input, one a line, and each is answered as soon as it is
    classified. Models are loaded once. Nothing is stored, and no database is needed; if there is one, its
    policies are applied.

    Exit code 1 if any photo has an error in its line; all others are classified.
    """
    interrupt_on_stop()
    settings = own_files(session.settings)
    open_originals(settings)
    asked = [_asked(name, session) for name in _names(models) or settings.models]
    for each in asked:
        with session.err.status(f"preparing {each.card.version_name} (once; a minute at most)"):
            prepare_model(each.card, settings)
    shown = Shown(top_k=top_k, vectors=vectors)
    metrics, failed = Metrics(), False
    with ExitStack() as stack:
        runners = {
            each.card.version_name: stack.enter_context(
                closing(ModelClient(each.card, settings, metrics=metrics))
            )
            for each in asked
        }
        for photo in Classifier(runners).photos(_source(paths, session, null=null)):
            line = photo_json(photo, asked, shown)
            failed |= has_error(line)
            session.print_json(line, indent=None)
    if failed:
        click.get_current_context().exit(EXIT_NOT_ALL_CLASSIFIED)


def own_files(settings: Settings) -> Settings:
    """Return the settings of a person who names files: they may be in any folder, as for `cat`.

    Models run here, also if workers have theirs run by a service.
    """
    return settings.model_copy(update={"file_roots": ANY_FOLDER, "espresso": ""})


def _names(models: tuple[str, ...]) -> list[str]:
    """Return each version once, in the order in which they were given."""
    parts = (part.strip() for given in models for part in given.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def _asked(name: str, session: Session) -> AskedModel:
    card = find_card(parse_version(name), session.settings.models_dir)
    refuse_altered_weights(card)
    url = session.settings.store_url
    # A database that is not there yet has no policies, and is not created.
    absent = url.startswith(SCHEME) and not path_of(url).exists()
    return AskedModel(card=card, policy=policy_for(card, None if absent else session.store))


def _source(paths: tuple[str, ...], session: Session, *, null: bool) -> PathSource:
    if paths:
        return GivenPaths(map(os.fsencode, paths))
    if sys.stdin.isatty():
        session.err.print("classify reads paths from the terminal, one a line; Ctrl-D ends them")
    try:
        return ArrivingPaths(StandardInput(sys.stdin.fileno()), null=null)
    # A stream in memory.
    except OSError:
        return ArrivingPaths(OpenStream(sys.stdin.buffer), null=null)
