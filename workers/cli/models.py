"""`panopticon models`: the cards that are here, what the registry knows, and whether a card holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from panopticon.cards import ModelCard
from panopticon.cards_check import CheckLine, check_card
from panopticon.models import all_cards, find_card, parse_version
from panopticon.outputs import VersionName
from panopticon.registry import VersionEntry
from workers.cli.groups import LazyGroup
from workers.cli.session import Session, json_option, pass_session
from workers.cli.wording import block, counted, table
from workers.scanning import printable
from workers.standing import registered

EXIT_BROKEN = 1
NOT_REGISTERED = "not registered"
DIGEST_CHARS = 12


@click.group("models", cls=LazyGroup, prefix="models ")
def models_command() -> None:
    """Model versions: look at them, bring in a new one beside the old, switch, and go back."""


@click.command("list")
@json_option
@pass_session
def list_command(session: Session, *, as_json: bool) -> None:
    """Every version that has a card here, or is registered."""
    cards = {card.version_name: card for card in all_cards(session.settings.models_dir)}
    entries = dict(registered(session.store))
    names = sorted({*cards, *entries})
    if as_json:
        session.print_json(
            {"models": [_row_json(name, cards.get(name), entries.get(name)) for name in names]}
        )
        return
    shown = table("model", "state", "digest", flowing=("summary",))
    for name in names:
        fields = _row_json(name, cards.get(name), entries.get(name))
        summary = fields["summary"] if name in cards else "no card on this machine"
        state = fields["state"] or NOT_REGISTERED
        shown.add_row(str(name), _state(state), fields["digest"][:DIGEST_CHARS], Text(printable(summary)))
    session.out.print(shown)
    session.out.print("Next: panopticon models show NAME@V", style="dim")


@click.command("show")
@click.argument("name", metavar="NAME@V")
@json_option
@pass_session
def show_command(session: Session, *, name: str, as_json: bool) -> None:
    """One version: what goes in, what comes out, and where its weights come from."""
    card = find_card(parse_version(name), session.settings.models_dir)
    entry = dict(registered(session.store)).get(card.version_name)
    if as_json:
        session.print_json(_card_json(card, entry))
        return
    session.out.print(Text(f"{card.version_name} · {card.summary}", style="bold"))
    session.out.print(block(_card_lines(card, entry)))
    session.out.print(f"Next: panopticon models check {card.version_name}", style="dim")


@click.command("check")
@click.argument("name", metavar="NAME@V")
@json_option
@click.pass_context
def check_command(context: click.Context, *, name: str, as_json: bool) -> None:
    """Run the whole card: files, engines, golden examples. Exit code 1 if anything does not hold."""
    session: Session = context.obj
    card = find_card(parse_version(name), session.settings.models_dir)
    lines = []
    for line in check_card(card, cache_dir=session.settings.cache_dir):
        lines.append(line)
        if not as_json:
            session.out.print(_check_text(line))
    broken = [line for line in lines if not line.ok]
    if as_json:
        session.print_json(_check_json(card, lines))
    elif broken:
        session.out.print(
            f"{card.version_name} does not hold: {counted(len(broken), 'line')} failed.", style="red"
        )
    else:
        session.out.print(f"{card.version_name} holds.", style="green")
    context.exit(EXIT_BROKEN if broken else 0)


def _check_json(card: ModelCard, lines: list[CheckLine]) -> dict[str, Any]:
    return {
        "name": str(card.version_name),
        "ok": all(line.ok for line in lines),
        "lines": [
            {"what": line.what, "ok": line.ok, "skipped": line.skipped, "detail": line.detail}
            for line in lines
        ],
    }


def _check_text(line: CheckLine) -> Text:
    mark, style = ("–", "yellow") if line.skipped else ("✓", "green") if line.ok else ("✗", "red")
    return Text.assemble((f"{mark} ", style), line.what, (f"  {line.detail}", "dim" if line.ok else style))


def _row_json(name: VersionName, card: ModelCard | None, entry: VersionEntry | None) -> dict[str, Any]:
    return {
        "name": str(name),
        "state": entry.state.value if entry else None,
        "policy_number": entry.policy_number if entry else None,
        "digest": card.digest if card else entry.digest if entry else "",
        "registered_digest": entry.digest if entry else None,
        "task": card.task if card else None,
        "summary": card.summary if card else None,
    }


def _state(state: str) -> Text:
    styles: Mapping[str, str] = {"active": "green", NOT_REGISTERED: "dim", "retired": "dim"}
    return Text(state, style=styles.get(state, ""))


def _card_json(card: ModelCard, entry: VersionEntry | None) -> dict[str, Any]:
    return {
        **_row_json(card.version_name, card, entry),
        "card": card.model_dump(mode="json", exclude={"folder"}),
        "elements": len(card.labels),
        "folder": str(card.folder),
    }


def _card_lines(card: ModelCard, entry: VersionEntry | None) -> list[tuple[str, str]]:
    lines = [
        ("state", f"{entry.state.value}, policy {entry.policy_number}" if entry else NOT_REGISTERED),
        ("digest", card.digest),
        ("task", card.task),
        (
            "input",
            f"{card.input.width_px} × {card.input.height_px} px {card.input.order}, {card.preprocessing.way}",
        ),
        ("output", f"{len(card.labels):,} × {card.output.dtype}"),
        ("weights", _weights(card)),
        ("engines", f"{', '.join(card.engines.allowed)}; they agree within {card.engines.tolerance:g}"),
        ("golden", counted(len(card.golden), "example")),
        ("changes", card.changes),
        ("card", str(card.folder / "card.toml")),
    ]
    return [(key, printable(value.strip())) for key, value in lines]


def _weights(card: ModelCard) -> str:
    if card.weights is None:
        return "none"
    source = f" of {card.weights.distribution}" if card.weights.distribution else ""
    return f"{card.weights.file}{source}, sha256 {card.weights.sha256}"
