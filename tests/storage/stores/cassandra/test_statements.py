"""Statements read one partition each, and only an erasure deletes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import storage.stores.cassandra as package
from storage.stores.cassandra import statements
from storage.stores.cassandra.schema import migrations, parse_migration
from storage.stores.cassandra.statements import Kind, Statement

FOLDER = Path(package.__file__).parent
STATEMENTS = {name: each for name, each in vars(statements).items() if isinstance(each, Statement)}
CHANGES = [statement for migration in migrations() for statement in migration.statements]
BOOKKEEPING = ("schema.py", "diagnosis.py")
"""The modules that migrate a keyspace and check its version."""

VERB = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|TRUNCATE|CREATE|ALTER|DROP|BEGIN|GRANT)\s", re.IGNORECASE)


def partition_keys() -> dict[str, list[str]]:
    """Return the columns of the partition key of every table that the migrations create."""
    keys: dict[str, list[str]] = {}
    for statement in CHANGES:
        if table := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement):
            composed = re.search(r"PRIMARY KEY \(\(([^)]*)\)", statement)
            single = re.search(r"(\w+) \w+ PRIMARY KEY", statement)
            found = composed or single
            assert found is not None
            keys[table[1]] = [column.strip() for column in found[1].split(",")]
    return keys


def table_of(cql: str) -> str:
    found = re.search(r"(?:FROM|INTO|UPDATE) (\w+)", cql)
    assert found is not None
    return found[1]


def cql_in(path: Path) -> list[str]:
    """Return the strings of a module that look like CQL, without docstrings and advice with an ellipsis."""
    nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and node not in docstrings]
    return [text for text in texts if isinstance(text, str) and VERB.match(text) and "…" not in text]


each_statement = pytest.mark.parametrize("name", sorted(STATEMENTS))


@each_statement
def test_a_statement_stays_within_one_partition(name: str) -> None:
    cql = STATEMENTS[name].cql
    where = cql.partition(" WHERE ")[2]
    if cql.startswith("INSERT"):
        where = " AND ".join(f"{column} = ?" for column in cql[: cql.index(")")].split("(")[1].split(", "))
    named = re.findall(r"(\w+) = ", where)
    assert set(partition_keys()[table_of(cql)]) <= set(named)


@each_statement
def test_a_statement_filters_nothing_and_lists_no_keys(name: str) -> None:
    assert not re.search(r"ALLOW FILTERING|\bIN\b|\bBATCH\b|;", STATEMENTS[name].cql, re.IGNORECASE)


def test_only_buckets_of_a_bounded_size_are_counted() -> None:
    assert {name for name, each in STATEMENTS.items() if "count(" in each.cql.lower()} == {"COUNT_LISTED"}


def test_only_an_erasure_deletes() -> None:
    deleting = {name for name, each in STATEMENTS.items() if "DELETE" in each.cql}
    assert deleting == {"ERASE_OUTPUTS", "ERASE_FAILURES", "ERASE_LISTED", "ERASE_ENTRY"}


@each_statement
def test_a_statement_that_may_be_repeated_has_its_own_timestamp(name: str) -> None:
    statement = STATEMENTS[name]
    changes = not statement.cql.startswith("SELECT")
    assert changes == (statement.kind in (Kind.WRITE, Kind.DECIDE))
    assert ("USING TIMESTAMP ?" in statement.cql) == (statement.kind is Kind.WRITE)
    assert (" IF " in statement.cql) == (statement.kind is Kind.DECIDE)


def test_no_other_module_contains_statements() -> None:
    modules = {path.name for path in FOLDER.rglob("*.py") if cql_in(path)}
    assert modules <= {"statements.py", "schema.py", "diagnosis.py"}


@pytest.mark.parametrize("cql", [cql for name in BOOKKEEPING for cql in cql_in(FOLDER / name)])
def test_bookkeeping_reads_by_key_and_deletes_nothing(cql: str) -> None:
    bounded = r"WHERE (name|keyspace_name) = |WHERE token\(\{key\}\) = 0 LIMIT 1|FROM system\.local$"
    assert re.search(rf"{bounded}|INTO schema_state|CREATE", cql)
    assert not re.search(r"\bDELETE\b|\bDROP\b|ALLOW FILTERING|\bIN\b", cql)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [each.version for each in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_change_may_be_repeated_and_removes_nothing(change: str) -> None:
    assert re.match(r"CREATE TABLE IF NOT EXISTS |ALTER TABLE \w+ ADD IF NOT EXISTS ", change)


def test_a_migration_names_the_oldest_code_that_can_use_it() -> None:
    with pytest.raises(ValueError, match="names no min_code_version"):
        parse_migration("0002_more.cql", "CREATE TABLE IF NOT EXISTS more (a int PRIMARY KEY);")
