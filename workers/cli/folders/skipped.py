"""The lines of `index` and `submit` about what was skipped and what cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from workers.cli.formatting import counted, table
from workers.runtime.terminal_text import shown
from workers.submission.pairs import HEIF_SUFFIXES, RAW_SUFFIXES
from workers.submission.skip_rules import MEANINGS
from workers.submission.submit import Submission
from workers.submission.walk import WalkRules

MAX_LINES = 10
UNDECODABLE_SUFFIXES = HEIF_SUFFIXES | RAW_SUFFIXES | {".jxl", ".jp2", ".psd"}
"""Suffixes of photos whose format none of our decoders reads, if the first bytes show that too."""


def walk_report(submission: Submission) -> Iterator[RenderableType]:
    """Yield what was skipped, by reason, and one line for each path that cannot be read or has no photo."""
    if submission.skipped_kinds:
        yield _skipped_table(submission)
    undecodable = Counter({s: n for s, n in submission.skipped.items() if s in UNDECODABLE_SUFFIXES})
    others = submission.skipped - undecodable
    if others:
        yield Text(f"{counted(others.total(), 'other file')} skipped ({_by_suffix(others)})", style="dim")
    if undecodable:
        photos = counted(undecodable.total(), "photo")
        line = f"{photos} skipped in formats that cannot be decoded ({_by_suffix(undecodable)})"
        yield Text(line, style="yellow")
    for line in submission.unreadable[:MAX_LINES]:
        yield Text(f"cannot read {shortened(line)}", style="yellow")
    more = len(submission.unreadable) - MAX_LINES
    if more > 0:
        yield Text(f"… and {more:,} more that cannot be read", style="yellow")
    for line in submission.without_photos:
        yield Text(f"nothing to index in {shortened(line)}", style="yellow")


def print_unmatched(err: Console, exclude: Sequence[str], rules: WalkRules) -> None:
    """Warn of patterns of `--exclude` that excluded nothing: most likely they contain a mistake."""
    # The patterns of the setting come first, and need not match in every folder.
    first = len(rules.exclude.patterns) - len(exclude) if rules.exclude else 0
    for number, pattern in enumerate(exclude, start=first):
        if number not in rules.exclude_matched:
            line = f"--exclude {pattern!r} matched nothing; a pattern begins below the folder that you name"
            err.print(line, style="yellow", markup=False)


def shortened(text: str, max_chars: int = 110) -> str:
    """Return a text of at most `max_chars` characters: the middle of a longer one is replaced by `…`."""
    half = max_chars // 2
    return text if len(text) <= max_chars else f"{text[: half - 1]}…{text[-half:]}"


def _by_suffix(skipped: Counter[str]) -> str:
    most = [f"{count:,} {suffix or 'without suffix'}" for suffix, count in skipped.most_common(5)]
    return ", ".join(most) + (", …" if len(skipped) > len(most) else "")


def _skipped_table(submission: Submission) -> Table:
    skipped_table = table("skipped", right=("files", "folders"), flowing=("such as",))
    for kind, meaning in MEANINGS.items():
        skipped = submission.skipped_kinds.get(kind)
        if skipped is not None:
            counts = (f"{count:,}" if count else "" for count in (skipped.files, skipped.folders))
            skipped_table.add_row(meaning, *counts, escape(shortened(shown(skipped.example), 80)))
    return skipped_table
