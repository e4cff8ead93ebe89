"""One suite of tests for each Protocol.

The tests of an adapter subclass it; they open the system, and give access to it without the adapter.
"""

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.catalogue",
    "tests.contracts.failures",
    "tests.contracts.image_source",
    "tests.contracts.ledger_counts",
    "tests.contracts.outputs",
    "tests.contracts.queue",
    "tests.contracts.registry",
    "tests.contracts.search_index",
    "tests.contracts.search_query",
    "tests.contracts.topology",
)
