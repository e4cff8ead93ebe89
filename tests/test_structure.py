"""The limits that the code keeps on its structure, and the figures of `tools.measure_structure`."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from tools.measure_structure import (
    FunctionNode,
    combine,
    docstrings_in,
    figures_by_package,
    fragments_in,
    length_of,
    main,
    measure_module,
    measure_tree,
    parameter_count,
    table_of,
)
from tools.trace_image import Way, read_trace

ROOT = Path(__file__).parents[1]
PRODUCT = ("panopticon", "storage", "workers")
MAX_MODULES = 15
"""Modules in one folder that a newcomer can take in at a glance."""


def function(source: str) -> FunctionNode:
    (node,) = ast.parse(source).body
    assert isinstance(node, FunctionNode)
    return node


def module(folder: Path, source: str, name: str = "module.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, "utf-8")
    return path


def test_no_folder_of_the_product_has_more_than_fifteen_modules() -> None:
    paths = [path for package in PRODUCT for path in (ROOT / package).rglob("*.py")]
    folders = Counter(path.parent for path in paths if path.name != "__init__.py")
    assert {str(folder): count for folder, count in folders.items() if count > MAX_MODULES} == {}


def test_the_product_leaves_the_random_generator_of_the_process_to_others() -> None:
    # A property test seeds it and checks that nobody else uses it; a thread of ours may still run then.
    paths = [path for package in PRODUCT for path in (ROOT / package).rglob("*.py")]
    nodes = [(path, node) for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    imported = {(str(path), name) for path, node in nodes for name in imports_of_random(node)}
    assert {(path, name) for path, name in imported if name != "SystemRandom"} == set()


def imports_of_random(node: ast.AST) -> list[str]:
    """Return the names that one node imports from the module `random`, `random` for all of it."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name == "random"]
    if isinstance(node, ast.ImportFrom) and node.module == "random":
        return [alias.name for alias in node.names]
    return []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(): return 1", 1),
        ("def f():\n    return 1", 2),
        ('def f():\n    """Return one."""\n    return 1', 2),
        ('def f():\n    """Return one.\n\n    Always.\n    """\n    return 1', 2),
        ("@first\n@second\ndef f(\n    x,\n):\n    return 1", 4),
        ("async def f():\n    await x\n\n    return 1", 4),
    ],
)
def test_the_length_of_a_function_leaves_out_its_docstring_and_decorators(source: str, lines: int) -> None:
    assert length_of(function(source)) == lines


@pytest.mark.parametrize(
    ("signature", "parameters"),
    [("", 0), ("self, a", 1), ("cls", 0), ("a, /, b, *, c", 3), ("self, *args, **options", 2)],
)
def test_parameters_of_every_kind_are_counted_but_not_self(signature: str, parameters: int) -> None:
    assert parameter_count(function(f"def f({signature}): ...")) == parameters


@pytest.mark.parametrize(
    ("text", "is_fragment"),
    [
        ("Whether it is ready.", True),
        ("Of all models, the newest.", True),
        ("How: by counting.", True),
        ("  \n  What it holds.", True),
        ("Return whether it is ready.", False),
        ("Somebody asked.", False),
        ("Asynchronous.", False),
        ("", False),
    ],
)
def test_a_docstring_that_begins_with_a_question_word_is_a_fragment(text: str, is_fragment: bool) -> None:
    (docstring,) = docstrings_in(ast.parse(repr(text)))
    assert docstring.is_fragment is is_fragment


def test_docstrings_of_modules_classes_functions_and_attributes_are_found() -> None:
    source = '''
"""Module."""
LIMIT = 3
"""Constant."""
class C:
    """Class."""
    x: int
    """Attribute."""
    def f(self):
        """Function."""
        print()
        """Ignored."""
'''
    found = [docstring.text for docstring in docstrings_in(ast.parse(source))]
    assert sorted(found) == ["Attribute.", "Class.", "Constant.", "Function.", "Module."]


def test_a_private_function_used_once_is_counted_and_its_definition_is_not_a_use(tmp_path: Path) -> None:
    source = """
def _once(): return 1
def _twice(): return 2
def _never(): return 3
def public(): return _once() + _twice() + _twice()
class C:
    def __init__(self): self._method()
    def _method(self):
        a = 1
        b = 2
        c = 3
        d = 4
        return a
"""
    figures = measure_module(module(tmp_path, source))
    assert figures.private_functions == 4
    assert sorted(figures.one_caller_lengths) == [1, 6]
    assert combine("p", [figures]).short_helpers == 1


def test_comments_count_only_as_whole_lines(tmp_path: Path) -> None:
    figures = measure_module(module(tmp_path, "# one\nx = 1  # two\n    # three\ny = '#'\n"))
    assert (figures.comment_lines, figures.lines) == (2, 4)


def test_a_class_of_thirteen_methods_is_big_and_one_of_twelve_is_not(tmp_path: Path) -> None:
    def methods(count: int) -> str:
        return "".join(f"    def m{index}(self): ...\n" for index in range(count))

    source = f"class Small:\n{methods(12)}class Big:\n{methods(13)}"
    assert measure_module(module(tmp_path, source)).big_classes == 1


def test_a_function_of_seven_parameters_has_too_many_and_one_of_six_has_not(tmp_path: Path) -> None:
    source = "def six(a, b, c, d, e, f): ...\ndef seven(a, b, c, d, e, *, f, g): ...\n"
    assert measure_module(module(tmp_path, source)).many_parameters == 1


def test_lengths_are_combined_over_modules(tmp_path: Path) -> None:
    lengths = [1, 1, 1, 1, 1, 2, 2, 3, 4, 9]
    sources = ["def f():" + " ...\n" if n == 1 else "def f():\n" + "    x\n" * (n - 1) for n in lengths]
    modules = [module(tmp_path, source, f"m{index}.py") for index, source in enumerate(sources)]
    figures = combine("p", [measure_module(path) for path in modules])
    assert (figures.functions, figures.median_length, figures.p90_length, figures.longest) == (10, 1.5, 4, 9)


def test_the_largest_folder_is_counted_without_its_subfolders_and_init(tmp_path: Path) -> None:
    for name in ("__init__.py", "a.py", "b.py", "sub/__init__.py", "sub/c.py"):
        module(tmp_path / "panopticon", "", name)
    (figures, total) = figures_by_package(measure_tree(tmp_path))
    assert (figures.modules, figures.largest_folder, total.largest_folder) == (5, 2, 2)


def test_every_package_has_a_line_in_the_table_and_the_last_is_the_total(tmp_path: Path) -> None:
    module(tmp_path / "workers", '"""What it is."""\n')
    module(tmp_path / "panopticon", "x = 1\n")
    modules = measure_tree(tmp_path)
    lines = table_of(figures_by_package(modules)).splitlines()
    assert [line.split()[0] for line in lines] == ["package", "panopticon", "workers", "total"]
    assert fragments_in(modules) == [f"{tmp_path / 'workers/module.py'}:1: What it is."]


def test_json_holds_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module(tmp_path / "storage", "def f(): ...\n")
    assert main([str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["package"], row["functions"]) for row in rows] == [("storage", 1), ("total", 1)]


def test_a_folder_without_any_of_the_packages_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path)])
    assert stopped.value.code == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_trace_separates_the_way_of_an_image_from_the_start_and_the_idle_loop(tmp_path: Path) -> None:
    lines = ["python -m workers.model_process.main --fd=3", "1.0 function p.start", "2.5 function p.turn"]
    lines += ["5.1 function p.turn", "5.2 function p.decode", "5.2 class p.Decoded", "9.9 function p.stop"]
    file = module(tmp_path, "\n".join(lines), "7.trace")
    trace = read_trace(file, (2.0, 5.0, 6.0))
    assert trace.process == "model process"
    assert trace.entered() == ["p.decode", "p.turn"]
    assert trace.only_with_image("function") == ["p.decode"]
    text = Way(processes=(trace,)).text()
    assert "2 functions entered,    1 of them not while idle,   1 classes" in text
    assert text.endswith("  p.Decoded")


def test_no_docstring_is_a_fragment() -> None:
    """A docstring begins with a verb or with a noun phrase that names its subject."""
    assert fragments_in(measure_tree(ROOT)) == []
