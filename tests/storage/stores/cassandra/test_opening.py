"""A table that a node lists and has not opened yet, as the driver reports it."""

from __future__ import annotations

import pytest
from cassandra import InvalidRequest, Unavailable
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ServerError

from storage.stores.cassandra.schema import once_open

LISTED = ServerError(0, "java.lang.IllegalArgumentException: Unknown CF 7e3d1e91-fe73-52ad-a6c1", None)
BROKEN = ServerError(0, "java.lang.NullPointerException", None)


class Node:
    """A node that answers with these errors in turn, and then with a row."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    def answer(self) -> str:
        if self._errors:
            raise self._errors.pop(0)
        return "row"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(InvalidRequest("unconfigured table"), id="not listed"),
        pytest.param(LISTED, id="listed"),
        pytest.param(NoHostAvailable("no host", {"one": LISTED, "two": LISTED}), id="listed by every node"),
    ],
)
def test_a_table_that_opens_a_moment_later_is_waited_for(error: Exception) -> None:
    assert once_open(Node(error, error).answer) == "row"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(BROKEN, id="another failure of a node"),
        pytest.param(NoHostAvailable("no host", {"one": LISTED, "two": BROKEN}), id="of one node"),
        pytest.param(NoHostAvailable("no host", {}), id="no node"),
        pytest.param(Unavailable("too few replicas"), id="too few replicas"),
    ],
)
def test_anything_else_is_raised_at_once(error: Exception) -> None:
    node = Node(error)
    with pytest.raises(type(error)):
        once_open(node.answer)
    assert node.answer() == "row"
