"""`panopticon models list`, `show` and `check`: cards on this machine, and versions in the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.text import Text

from panopticon.cards.cards import ModelCard
from panopticon.handover.check_card import check_card
from panopticon.messages import rfc_3339
from panopticon.models import all_cards, find_card, parse_version
from panopticon.registry.records import VersionEntry
from panopticon.results.outputs import VersionName
from workers.cli.formatting import block, counted, table, utc
from workers.cli.lazy_groups import LazyGroup
from workers.cli.session import Session, json_option, pass_session
from workers.registry.find_card import KnownVersion, find_known
from workers.registry.records import all_versions
from workers.runtime.terminal_text import printable

EXIT_FAILED = 1
NOT_REGISTERED = "not registered"
STYLES: Mapping[str, str] = {"active": "green", NOT_REGISTERED: "dim", "retired": "dim"}
DIGEST_CHARS = 12


@click.group("models", cls=LazyGroup, prefix="models ")
def models_command() -> None:
    """Model versions: show and check them, add a new one, compare, activate, roll back and retire."""


@click.command("list")
@json_option
@pass_session
def list_command(session: Session, *, as_json: bool) -> None:
    """List every version that has a card on this machine, or is registered."""
    cards = {card.version_name: card for card in all_cards(session.settings.models_dir)}
    # Before the first use of the program, the cards on this machine are all that there is.
    registered = {} if session.waits_for_first_use else all_versions(session.store.registry)
    entries = {name: entry for name, (_, entry) in registered.items()}
    names = sorted({*cards, *entries})
    if as_json:
        session.print_json(
            {"models": [_listed_json(name, cards.get(name), entries.get(name)) for name in names]}
        )
        return
    shown = table("model", "state", "digest", flowing=("summary",))
    for name in names:
        fields = _listed_json(name, cards.get(name), entries.get(name))
        summary = fields["summary"] if name in cards else "no card on this machine"
        state = fields["state"] or NOT_REGISTERED
        styled = Text(state, style=STYLES.get(state, ""))
        shown.add_row(str(name), styled, fields["digest"][:DIGEST_CHARS], Text(printable(summary)))
    session.out.print(shown)
    session.out.print("Next: panopticon models show NAME@V", style="dim")


@click.command("show")
@click.argument("name", metavar="NAME@V")
@json_option
@pass_session
def show_command(session: Session, *, name: str, as_json: bool) -> None:
    """Show one version: input, output, weights, policies and the latest comparison.

    Without a card on this machine, the card in the store is shown.
    """
    known = find_known(parse_version(name), session.store, session.settings.models_dir)
    if as_json:
        session.print_json(_known_json(known))
        return
    session.out.print(Text(f"{known.name} · {known.card.summary}", style="bold"))
    session.out.print(block(_known_lines(known)))
    # A card that is not on this machine cannot be checked here.
    next_ = f"check {known.name}" if known.is_here else f"history {known.name.model}"
    session.out.print(f"Next: panopticon models {next_}", style="dim")


@click.command("check")
@click.argument("name", metavar="NAME@V")
@json_option
@click.pass_context
def check_command(context: click.Context, *, name: str, as_json: bool) -> None:
    """Check a whole card: files, engines, golden examples. Exit code 1 if any check fails."""
    session: Session = context.obj
    card = find_card(parse_version(name), session.settings.models_dir)
    lines = []
    for line in check_card(card, cache_dir=session.settings.cache_dir):
        lines.append(line)
        # Printed at once, because a check may take seconds.
        if not as_json:
            mark, style = ("–", "yellow") if line.skipped else ("✓", "green") if line.ok else ("✗", "red")
            detail = (f"  {line.detail}", "dim" if line.ok else style)
            session.out.print(Text.assemble((f"{mark} ", style), line.what, detail))
    failed = [line for line in lines if not line.ok]
    if as_json:
        shown = [
            {"what": line.what, "ok": line.ok, "skipped": line.skipped, "detail": line.detail}
            for line in lines
        ]
        session.print_json({"name": str(card.version_name), "ok": not failed, "lines": shown})
    elif failed:
        session.out.print(f"{card.version_name}: {counted(len(failed), 'check')} failed.", style="red")
    else:
        session.out.print(f"{card.version_name}: no check failed.", style="green")
    context.exit(EXIT_FAILED if failed else 0)


def _listed_json(name: VersionName, card: ModelCard | None, entry: VersionEntry | None) -> dict[str, Any]:
    digest = card.digest if card else entry.digest if entry else ""
    return _row_json(name, card, entry, digest=digest)


def _row_json(
    name: VersionName, card: ModelCard | None, entry: VersionEntry | None, *, digest: str
) -> dict[str, Any]:
    return {
        "name": str(name),
        "state": entry.state.value if entry else None,
        "policy_number": entry.policy_number if entry else None,
        "digest": digest,
        "registered_digest": entry.digest if entry else None,
        "task": card.task if card else None,
        "summary": card.summary if card else None,
    }


def _known_json(known: KnownVersion) -> dict[str, Any]:
    card, entry, report = known.card, known.entry, known.report
    return {
        **_row_json(known.name, card, entry, digest=known.digest),
        "card": card.model_dump(mode="json", exclude={"folder"}),
        "elements": known.elements,
        "folder": str(card.folder) if known.is_here else None,
        "card_from": "machine" if known.is_here else "archive",
        "policies": len(entry.policies) if entry else 0,
        "report": report
        and {
            "former": report.former,
            "version": report.version,
            "at": rfc_3339(report.at_ms),
            "by": report.by,
            "images": report.images,
            "figures": dict(report.figures),
            "report_sha256": report.report_sha256,
        },
    }


def _known_lines(known: KnownVersion) -> list[tuple[str, str]]:
    card, entry = known.card, known.entry
    file = str(card.folder / "card.toml") if known.is_here else "none on this machine; shown from the store"
    weights = "none"
    if card.weights is not None:
        source = f" of {card.weights.distribution}" if card.weights.distribution else ""
        weights = f"{card.weights.file}{source}, sha256 {card.weights.sha256}"
    lines = [
        ("state", f"{entry.state.value}, policy {entry.policy_number}" if entry else NOT_REGISTERED),
        *_history_lines(known),
        ("digest", known.digest),
        ("task", card.task),
        (
            "input",
            f"{card.input.width_px} × {card.input.height_px} px {card.input.order}, {known.description}",
        ),
        ("output", f"{known.elements:,} × {card.output.dtype}"),
        ("weights", weights),
        ("engines", f"{', '.join(card.engines.allowed)}; they agree within {card.engines.tolerance:g}"),
        ("golden", counted(len(card.golden), "example")),
        ("changes", card.changes),
        ("card", file),
    ]
    return [(key, printable(value.strip())) for key, value in lines]


def _history_lines(known: KnownVersion) -> Iterator[tuple[str, str]]:
    if known.entry:
        yield "policies", f"{len(known.entry.policies):,} so far: panopticon policy history {known.name}"
    if report := known.report:
        pair = f"{known.name.model}@{report.former} and @{report.version}"
        figures = ", ".join(f"{name} {value:.4g}" for name, value in report.figures.items())
        images = counted(report.images, "image")
        yield "compared", f"{pair}, {utc(report.at_ms)} UTC, {images}: {figures or 'no figures'}"
