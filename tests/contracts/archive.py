"""The contract of every Archive."""

from __future__ import annotations

import hashlib
from contextlib import closing

from panopticon.interfaces import Store
from tests.contracts.store import StoreAccess

BODY = b'{"text": "Gr\xc3\xbc\xc3\x9fe", "bytes": "\xff\x00"}'


class ArchiveContract(StoreAccess):
    def test_a_body_is_kept_under_its_sha256(self, store: Store) -> None:
        sha256 = store.archive.put(BODY)
        assert sha256 == hashlib.sha256(BODY).hexdigest()
        assert store.archive.get(sha256) == BODY

    def test_an_unknown_sha256_has_no_body(self, store: Store) -> None:
        assert store.archive.get("0" * 64) is None
        assert store.archive.get("") is None

    def test_a_body_that_is_put_twice_is_stored_once(self, store: Store) -> None:
        assert store.archive.put(BODY) == store.archive.put(BODY)
        assert self.count_rows("archive") == 1

    def test_an_entry_is_seen_by_every_client(self, store: Store) -> None:
        sha256 = store.archive.put(BODY)
        with closing(self.open_store()) as other:
            assert other.archive.get(sha256) == BODY
