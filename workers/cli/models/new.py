"""`panopticon models new`: write a card to fill in, for a model of your own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.handover.check_card import PLACEHOLDER
from panopticon.handover.new_card import File, NewCard, SavedModel, card_text, labels_text
from panopticon.models import all_cards
from panopticon.models.weights import sha256_of
from panopticon.results.outputs import VersionName
from workers.cli.session import Session, pass_session
from workers.runtime.end_with_parent import run_child
from workers.runtime.terminal_text import printable

DEFAULT_FOLDER = Path("models")
_NAME = re.compile("[a-z][a-z0-9]{0,31}")

_file = click.Path(path_type=Path)


@click.command("models new")
@click.argument("name", metavar="NAME")
@click.option(
    "--task",
    type=click.Choice(["tagging", "scoring"]),
    default="tagging",
    show_default=True,
    help="Kind of output: tags with probabilities, or scores.",
)
@click.option(
    "--keras",
    type=_file,
    metavar="FILE",
    help="Saved Keras model; its sizes and digest are filled in [default: none].",
)
@click.option(
    "--golden",
    type=_file,
    metavar="IMAGE",
    multiple=True,
    help="Image with a known answer; may be repeated [default: none].",
)
@click.option("--next", "is_next", is_flag=True, help="Write the next version of an existing model.")
@click.option("--dir", "folder", type=_file, help="Folder of the cards [default: models_dir, else ./models].")
@pass_session
def new_command(
    session: Session,
    *,
    name: str,
    task: Literal["tagging", "scoring"],
    keras: Path | None,
    golden: tuple[Path, ...],
    is_next: bool,
    folder: Path | None,
) -> None:
    """Write a card to fill in, for a model of your own."""
    folder = folder or session.settings.models_dir or DEFAULT_FOLDER
    version = _version(name, folder, is_next=is_next)
    place = folder / name if version.version == 1 else folder / name / str(version.version)
    new = NewCard(
        version_name=version,
        task=task,
        saved=_described(keras, place) if keras else None,
        golden=[_named(image, place) for image in golden],
    )
    files = {"card.toml": card_text(new)}
    if task == "tagging":
        files["labels.csv"] = labels_text(new)
    _write(place, files)
    setting = f"--set models_dir={folder} " if folder != session.settings.models_dir else ""
    session.out.print(Text(f"{printable(str(place))}: {' and '.join(files)}", style="green"))
    session.out.print(f"Fill in every line with {PLACEHOLDER}.")
    session.out.print(f"Next: panopticon {setting}models check {version}", style="dim")


def _version(name: str, folder: Path, *, is_next: bool) -> VersionName:
    """Return the first version, or with `is_next` the one after the last. Raises: UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid model name; it must be a lower-case letter and up to 31 of a-z and 0-9"
        )
    cards = all_cards(folder if folder.is_dir() else None)
    last = max((card.version_name for card in cards if card.name == name), default=None)
    if last is not None and not is_next:
        raise UsageError(
            f"{last} exists already; choose another name, or use --next for {name}@{last.version + 1}"
        )
    return VersionName(model=name, version=last.version + 1 if last else 1)


def _described(file: Path, place: Path) -> SavedModel:
    """Describe a saved model in a process of its own, so that Keras is never loaded into this one.

    Raises: UsageError with the last line of that process.
    """
    named = _named(file, place)
    done = run_child("panopticon.models.describe", [str(file)])
    if done.returncode:
        raise UsageError((done.stderr.strip() or f"{file} could not be read").splitlines()[-1])
    return SavedModel(file=named, **json.loads(done.stdout))


def _named(file: Path, place: Path) -> File:
    sha256 = sha256_of(file)
    return File(path=os.path.relpath(file, place), sha256=sha256)


def _write(place: Path, files: Mapping[str, str]) -> None:
    """Write all files, or none if one of them exists. Raises: UsageError."""
    if existing := [name for name in files if (place / name).exists()]:
        raise UsageError(
            f"{place / existing[0]} exists already and was not changed; choose another name or --dir"
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}") from None
