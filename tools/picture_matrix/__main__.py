"""Decode every cell of the matrix, or index a folder of odd pictures, and report what is wrong.

python -m tools.picture_matrix [--only PREFIX] [--write DIR]
python -m tools.picture_matrix --cases DIR
python -m tools.picture_matrix --odd DIR
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from tools.picture_matrix.cells import Outcome, Status, all_cells, check
from tools.picture_matrix.odd.catalogue import write_catalogue
from tools.picture_matrix.odd.checking import Finding, Match, check_folder


def table_of(outcomes: Iterable[Outcome]) -> str:
    """Count the outcomes of each container."""
    counts = Counter((outcome.cell.container, outcome.status) for outcome in outcomes)
    containers = list(dict.fromkeys(container for container, _ in counts))
    lines = [f"{'container':<10}{'cells':>7}{'right':>7}{'unsupported':>13}{'wrong':>7}"]
    for name in [*containers, "all"]:
        row = [
            sum(
                n
                for (container, status), n in counts.items()
                if name in (container, "all") and status in wanted
            )
            for wanted in (tuple(Status), ("right",), ("unsupported",), ("wrong",))
        ]
        lines.append(f"{name:<10}{row[0]:>7}{row[1]:>7}{row[2]:>13}{row[3]:>7}")
    return "\n".join(lines)


def write(outcome: Outcome, folder: Path) -> None:
    """Save the file of a cell, its reference and what the decoder made of it."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = outcome.cell.name.replace("/", "_")
    (folder / f"{stem}.{outcome.cell.container}").write_bytes(outcome.cell.encoded)
    Image.fromarray(outcome.cell.reference).save(folder / f"{stem}.reference.png")
    if outcome.pixels is not None:
        Image.fromarray(outcome.pixels).save(folder / f"{stem}.decoded.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and what is wrong; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.picture_matrix", description="Compare decoded pictures with their references."
    )
    parser.add_argument("--only", default="", help="start of the names of cells to check, such as tiff/rgb")
    parser.add_argument("--write", type=Path, metavar="DIR", help="save what is wrong here, to look at")
    parser.add_argument("--cases", type=Path, metavar="DIR", help="index a folder with a manifest.json")
    parser.add_argument("--odd", type=Path, metavar="DIR", help="write the odd pictures, and index them")
    options = parser.parse_args(arguments)
    if options.odd:
        write_catalogue(options.odd)
    if options.odd or options.cases:
        return _report_cases(check_folder((options.odd or options.cases).resolve()))
    outcomes = [check(cell) for cell in all_cells(options.only)]
    wrong = [outcome for outcome in outcomes if outcome.status is Status.WRONG]
    print(*wrong, sep="\n", end="\n\n" if wrong else "")
    print(table_of(outcomes))
    if options.write:
        for outcome in wrong:
            write(outcome, options.write)
    return 1 if wrong else 0


def _report_cases(findings: Sequence[Finding]) -> int:
    """Print the files that are not as the manifest says, and the counts; return the exit code."""
    print(*(finding for finding in findings if finding.match is not Match.RIGHT), sep="\n")
    counts = Counter(finding.match for finding in findings)
    print(f"{len(findings)} files: " + ", ".join(f"{counts[match]} {match}" for match in Match))
    return 1 if counts[Match.WRONG] else 0


if __name__ == "__main__":
    sys.exit(main())
