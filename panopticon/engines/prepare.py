"""Export a model version for LiteRT: `python -m panopticon.engines.prepare tagger@1 --cache-dir D`.

It is a program, because exporting imports TensorFlow, whose memory a long-lived worker should not keep. Exit
code 0: the export is in the cache; 2: a person's mistake, reported in one line on standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from panopticon.cards.cards import ModelCard
from panopticon.engines.cache import CachedFile
from panopticon.engines.litert_file import find_export
from panopticon.errors import UsageError
from panopticon.models import find_card, parse_version
from panopticon.models.weights import refuse_altered_weights


def prepared(card: ModelCard, cache_dir: Path) -> bool:
    """Return whether the cache has an undamaged export of this version."""
    return find_export(card, cache_dir) is not None


def prepare(card: ModelCard, cache_dir: Path) -> CachedFile:
    """Export now. This imports TensorFlow: a long-lived process should run this module as a program."""
    from panopticon.engines.export import export

    return export(card, cache_dir)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m panopticon.engines.prepare", description="Export a model version for LiteRT."
    )
    parser.add_argument("version", help="model version, such as tagger@1")
    parser.add_argument("--cache-dir", type=Path, required=True, help="folder for exports")
    parser.add_argument("--models-dir", type=Path, help="folder with your own model cards")
    options = parser.parse_args(arguments)
    try:
        card = find_card(parse_version(options.version), options.models_dir)
        refuse_altered_weights(card)
        if not prepared(card, options.cache_dir):
            prepare(card, options.cache_dir)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
