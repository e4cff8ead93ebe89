"""The distribution `panopticon-client`: what it contains, what it needs, and where it runs."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "clients" / "python"
MODULES = sorted((CLIENT / "panopticon_client").glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_is_valid_in_the_oldest_python_and_imports_nothing_but_urllib3(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"), feature_version=(3, 10))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names <= {"urllib3", "panopticon_client"}


def test_it_needs_urllib3_and_nothing_else() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text("utf-8"))["project"]
    assert [line.split()[0] for line in project["dependencies"]] == ["urllib3"]
    assert (project["name"], project["requires-python"]) == ("panopticon-client", ">=3.10")


def test_its_wheel_has_every_module_the_marker_of_types_and_the_licence(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    shutil.copytree(CLIENT, tmp_path / "source", ignore=ignored)
    ran = subprocess.run(
        [sys.executable, "-c", "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"],
        cwd=tmp_path / "source",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (wheel,) = (tmp_path / "source").glob("panopticon_client-*.whl")
    shipped = zipfile.ZipFile(wheel).namelist()
    assert {f"panopticon_client/{path.name}" for path in MODULES} <= set(shipped)
    assert "panopticon_client/py.typed" in shipped
    assert any(name.endswith("/LICENSE") for name in shipped)


def test_the_example_of_its_readme_is_valid_and_uses_what_it_exports() -> None:
    text = (CLIENT / "README.md").read_text("utf-8")
    examples = text.split("```python\n")[1:]
    assert examples
    exported = set(
        ast.literal_eval((CLIENT / "panopticon_client/__init__.py").read_text().partition("__all__ = ")[2])
    )
    for example in examples:
        tree = ast.parse(example.partition("```")[0])
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in froms if node.module == "panopticon_client" for alias in node.names}
        assert names <= exported
