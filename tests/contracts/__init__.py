"""One suite per Protocol. An adapter joins by subclassing it, opening its system and supplying back doors."""

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
