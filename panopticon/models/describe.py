"""Describe the input and output of a saved model as JSON: `python -m panopticon.models.describe model.keras`.

It is a program, because reading the model needs Keras's backend. Exit code 2: a person's mistake, reported in
one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from panopticon.errors import UsageError
from panopticon.models.building import require_keras
from panopticon.models.saved import open_saved


def described(path: Path) -> dict[str, Any]:
    """Return width_px, height_px and elements (each None if the model leaves it open), and the input dtype.

    Raises: CardError as `open_saved` does; UsageError if Keras or its backend is not installed.
    """
    require_keras()
    model = open_saved(path)
    _, height_px, width_px, _ = model.input_shape
    return {
        "width_px": width_px,
        "height_px": height_px,
        "elements": model.output_shape[1],
        "takes": model.inputs[0].dtype,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m panopticon.models.describe", description="Describe a saved Keras model."
    )
    parser.add_argument("file", type=Path)
    try:
        sys.stdout.write(json.dumps(described(parser.parse_args(arguments).file)) + "\n")
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
