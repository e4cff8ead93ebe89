"""`python -m panopticon.engines.prepare tagger@1 --cache-dir D`: export for LiteRT, in a process of its own.

Exporting imports TensorFlow, whose memory a long-lived worker should not keep. Exit code 0: prepared, now or
before; 2: a person's mistake, told in one line on standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from panopticon.cards.cards import ModelCard
from panopticon.engines.litert_file import find_export
from panopticon.errors import UsageError
from panopticon.models import find_card, parse_version
from panopticon.models.weights import refuse_altered_weights


def prepared(card: ModelCard, cache_dir: Path) -> bool:
    """Return whether an undamaged export of this version lies in the cache."""
    return find_export(card, cache_dir) is not None


def prepare(card: ModelCard, cache_dir: Path) -> Path:
    """Export now. Imports TensorFlow, so a long-lived process should run this module as a program instead."""
    from panopticon.engines.export import export

    return export(card, cache_dir)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        card = find_card(parse_version(options.version), options.models_dir)
        refuse_altered_weights(card)
        if not prepared(card, options.cache_dir):
            prepare(card, options.cache_dir)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m panopticon.engines.prepare", description="Export for LiteRT."
    )
    parser.add_argument("version", help="a model version, as tagger@1")
    parser.add_argument("--cache-dir", type=Path, required=True, help="where exports are kept")
    parser.add_argument("--models-dir", type=Path, help="folder with model cards of your own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
