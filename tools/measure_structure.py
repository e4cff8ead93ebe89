"""Measure how the code is cut into functions, classes and folders, and how its docstrings read.

    python -m tools.measure_structure [DIR] [--json] [--trace]
    python -m tools.measure_structure [DIR] --fragments

DIR is the root of a checkout (default: the present folder). Each of its packages is counted separately.

The static figures, all read from the syntax tree:

- functions: median, 90th percentile and longest length, in lines from `def` to the end without the docstring
- one_caller: share of the private functions (`_name`) whose name occurs once in their file after `def`
- short_helpers: those of them that have at most 5 lines
- fragments: docstrings that begin with a word such as What, Of or Whose, so that their subject is missing
- comments: lines that are only a comment, for each 100 lines
- folder: modules in the largest single folder, without `__init__.py`
- big_classes: classes with more than 12 methods
- many_parameters: functions with more than 6 parameters, without `self` and `cls`

`--fragments` lists each of those docstrings instead. `--trace` indexes one small JPEG instead, and counts the
functions and classes on its way to its row; `tools/trace_image.py` describes what exactly it counts.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGES = ("panopticon", "storage", "workers", "tests", "benchmarks", "tools")
FRAGMENT_STARTS = frozenset(
    "What Of Whose Whether Who Where As By How Why So".split()  # noqa: SIM905 - one line reads better
)
SHORT_LINES = 5
MAX_METHODS = 12
MAX_PARAMETERS = 6

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """One docstring of a module, class, function or attribute."""

    line: int
    text: str

    @property
    def is_fragment(self) -> bool:
        """Return whether its first word is one that needs a subject from outside the docstring."""
        words = self.text.split(maxsplit=1)
        return bool(words) and words[0].rstrip(",:.") in FRAGMENT_STARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFigures:
    """The figures of one module."""

    path: Path
    lines: int
    comment_lines: int
    function_lengths: tuple[int, ...]
    """Lines of each function, without its docstring."""
    private_functions: int
    one_caller_lengths: tuple[int, ...]
    """Lines of each private function that the module uses once."""
    docstrings: tuple[Docstring, ...]
    big_classes: int
    many_parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFigures:
    """The figures of one package, or of several together. Lengths are in lines."""

    package: str
    modules: int
    lines: int
    functions: int
    median_length: float
    p90_length: int
    longest: int
    private_functions: int
    one_caller: int
    short_helpers: int
    docstrings: int
    fragments: int
    comments_per_100_lines: float
    largest_folder: int
    """Modules in the folder that has the most, without `__init__.py`."""
    big_classes: int
    many_parameters: int


def measure_module(path: Path) -> ModuleFigures:
    """Measure one module. Raises: SyntaxError or OSError if it cannot be read as Python."""
    source = path.read_text("utf-8")
    tree = ast.parse(source, str(path))
    functions = [node for node in ast.walk(tree) if isinstance(node, FunctionNode)]
    private = [node for node in functions if node.name.startswith("_") and not node.name.endswith("__")]
    uses = uses_by_name(tree)
    lines = source.splitlines()
    return ModuleFigures(
        path=path,
        lines=len(lines),
        comment_lines=sum(line.lstrip().startswith("#") for line in lines),
        function_lengths=tuple(map(length_of, functions)),
        private_functions=len(private),
        one_caller_lengths=tuple(length_of(node) for node in private if uses[node.name] == 1),
        docstrings=tuple(docstrings_in(tree)),
        big_classes=sum(
            sum(isinstance(child, FunctionNode) for child in node.body) > MAX_METHODS
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
        ),
        many_parameters=sum(parameter_count(node) > MAX_PARAMETERS for node in functions),
    )


def length_of(function: FunctionNode) -> int:
    """Return the lines from `def` to the end, without decorators and docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def uses_by_name(tree: ast.AST) -> Counter[str]:
    """Count how often a name is read, bare or as an attribute. A definition is not a use."""
    uses: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses[node.id] += 1
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            uses[node.attr] += 1
    return uses


def parameter_count(function: FunctionNode) -> int:
    """Return the number of parameters of any kind, without `self` and `cls`."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")]) + sum(
        each is not None for each in (given.vararg, given.kwarg)
    )


def docstrings_in(tree: ast.Module) -> Iterator[Docstring]:
    """Yield the docstring of each module, class and function, and each string under an assignment."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not isinstance(node, _DOCUMENTED):
            continue
        before: ast.stmt | None = None
        for statement in body:
            documents = before is None or isinstance(before, ast.Assign | ast.AnnAssign)
            if documents and _is_text(statement):
                yield Docstring(line=statement.lineno, text=ast.literal_eval(statement.value))
            before = statement


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def combine(package: str, modules: Sequence[ModuleFigures]) -> PackageFigures:
    """Combine the figures of at least one module."""
    lengths = sorted(length for module in modules for length in module.function_lengths)
    one_caller = [length for module in modules for length in module.one_caller_lengths]
    lines = sum(module.lines for module in modules)
    docstrings = [docstring for module in modules for docstring in module.docstrings]
    folders = Counter(module.path.parent for module in modules if module.path.name != "__init__.py")
    return PackageFigures(
        package=package,
        modules=len(modules),
        lines=lines,
        functions=len(lengths),
        median_length=statistics.median(lengths) if lengths else 0,
        p90_length=lengths[math.ceil(0.9 * len(lengths)) - 1] if lengths else 0,
        longest=lengths[-1] if lengths else 0,
        private_functions=sum(module.private_functions for module in modules),
        one_caller=len(one_caller),
        short_helpers=sum(length <= SHORT_LINES for length in one_caller),
        docstrings=len(docstrings),
        fragments=sum(docstring.is_fragment for docstring in docstrings),
        comments_per_100_lines=round(
            100 * sum(module.comment_lines for module in modules) / max(lines, 1), 2
        ),
        largest_folder=max(folders.values(), default=0),
        big_classes=sum(module.big_classes for module in modules),
        many_parameters=sum(module.many_parameters for module in modules),
    )


def measure_tree(root: Path) -> dict[str, list[ModuleFigures]]:
    """Measure every module of a checkout, by package; packages that it does not have are left out."""
    paths = {package: sorted((root / package).rglob("*.py")) for package in PACKAGES}
    return {package: list(map(measure_module, found)) for package, found in paths.items() if found}


def figures_by_package(modules: Mapping[str, Sequence[ModuleFigures]]) -> list[PackageFigures]:
    """Combine the figures of each package, then those of all of them as `total`."""
    rows = [combine(package, found) for package, found in modules.items()]
    return [*rows, combine("total", [module for found in modules.values() for module in found])]


def fragments_in(modules: Mapping[str, Sequence[ModuleFigures]]) -> list[str]:
    """Return `path:line: first line` for each docstring that is a fragment."""
    return [
        f"{module.path}:{docstring.line}: {docstring.text.splitlines()[0]}"
        for found in modules.values()
        for module in found
        for docstring in module.docstrings
        if docstring.is_fragment
    ]


def table_of(rows: Sequence[PackageFigures]) -> str:
    """Format the figures as a table, one line for each package."""
    lines = [
        "package     modules   lines  median/p90/longest  one caller  short helpers  fragments    "
        "comments/100  folder  classes>12  parameters>6"
    ]
    for row in rows:
        lengths = f"{row.median_length:g}/{row.p90_length}/{row.longest}"
        lines.append(
            f"{row.package:<11} {row.modules:>7} {row.lines:>7}  {lengths:>18}  "
            f"{_share(row.one_caller, row.private_functions):>10}  "
            f"{_share(row.short_helpers, row.private_functions):>13}  "
            f"{row.fragments:>4} of {row.docstrings:<5} {row.comments_per_100_lines:>11}  "
            f"{row.largest_folder:>6}  {row.big_classes:>10}  {row.many_parameters:>12}"
        )
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.measure_structure", description="Measure how the code is cut up."
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="root of a checkout")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    parser.add_argument("--fragments", action="store_true", help="list the docstrings that are fragments")
    parser.add_argument(
        "--trace", action="store_true", help="index one image and count what it passes through"
    )
    options = parser.parse_args(arguments)
    modules = measure_tree(options.root)
    if not modules:
        parser.error(f"{options.root.resolve()} has none of the packages {', '.join(PACKAGES)}")
    if options.fragments:
        print(*fragments_in(modules), sep="\n")
    elif options.trace:
        # Pillow is needed for this part only, so that the figures need nothing but the standard library.
        from tools.trace_image import trace_image

        way = trace_image(options.root)
        print(json.dumps(way.as_json()) if options.json else way.text())
    else:
        rows = figures_by_package(modules)
        print(json.dumps([asdict(row) for row in rows]) if options.json else table_of(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
