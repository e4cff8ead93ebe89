"""The contract of every FolderList."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from panopticon.interfaces import Store
from panopticon.results.folder_entries import FolderEntry, Presence
from tests.contracts.examples import NOON_MS
from tests.contracts.store import StoreAccess

ROOT = b"/photos"


def entry(path: bytes = b"/photos/a.jpg", image_id: str = "photo", *, root: bytes = ROOT) -> FolderEntry:
    return FolderEntry(
        root=root,
        path=path,
        image_id=image_id,
        revision=3,
        size_bytes=10,
        mtime_ns=5,
        ctime_ns=6,
        inode=2**64 - 1,
        device=2**64 - 2,
        sha256="5" * 64,
        former_path=b"/photos/\xff.jpg",
        moved_at_ms=7,
        seen_at_ms=NOON_MS,
    )


def below(store: Store, folder: bytes, *, root: bytes = ROOT) -> set[FolderEntry]:
    listed = list(store.folders.below(root, folder))
    assert len(listed) == len(set(listed))
    return set(listed)


class FolderListContract(StoreAccess):
    def test_an_entry_is_read_as_it_was_put(self, store: Store) -> None:
        put = entry(b"/photos/Gr\xff\xc3\xbc/a.jpg", "Grüße/🦒")
        store.folders.put([put])
        assert store.folders.get([(ROOT, put.path)]) == [put]

    def test_unknown_places_are_absent(self, store: Store) -> None:
        store.folders.put([entry()])
        places = [(ROOT, b"/photos/b.jpg"), (b"/other", b"/photos/a.jpg"), (ROOT, b"/photos/a.jpg")]
        assert store.folders.get([*places, *places]) == [entry()]

    def test_two_photos_may_have_been_at_one_path(self, store: Store) -> None:
        former = replace(entry(image_id="former"), presence=Presence.MOVED)
        store.folders.put([entry(), former])
        assert store.folders.get([(ROOT, entry().path)]) == [former, entry()]
        assert below(store, ROOT) == {former, entry()}

    def test_only_what_is_below_a_folder_is_found_there(self, store: Store) -> None:
        names = (b"2024/a", b"2024/b/c", b"2024", b"2024.jpg", b"20240/a", b"2023/a", b"2025/a", b"2024-a")
        store.folders.put([entry(b"/photos/" + name, name.decode()) for name in names])
        assert {each.image_id for each in below(store, b"/photos/2024")} == {"2024/a", "2024/b/c"}
        assert len(below(store, ROOT)) == len(names)

    def test_the_root_of_all_paths_is_a_folder_too(self, store: Store) -> None:
        put = entry(root=b"/")
        store.folders.put([put])
        assert below(store, b"/", root=b"/") == {put}

    def test_roots_are_apart(self, store: Store) -> None:
        inner = entry(b"/photos/2024/a.jpg", root=b"/photos/2024")
        store.folders.put([entry(), inner])
        assert below(store, ROOT) == {entry()}
        assert below(store, b"/photos/2024", root=b"/photos/2024") == {inner}

    def test_every_one_of_many_entries_is_found(self, store: Store) -> None:
        put = {entry(b"/photos/%d.jpg" % number, str(number)) for number in range(2_500)}
        store.folders.put(list(put))
        assert below(store, ROOT) == put

    @pytest.mark.parametrize("history", list(permutations((0, 1, 2))))
    def test_the_latest_entry_stays_in_any_order(self, store: Store, history: tuple[int, ...]) -> None:
        for later in history:
            store.folders.put([replace(entry(), seen_at_ms=NOON_MS + later, revision=later)])
        (stored,) = store.folders.get([(ROOT, entry().path)])
        assert stored.revision == 2

    def test_an_erased_entry_is_gone_and_others_stay(self, store: Store) -> None:
        other = entry(image_id="other")
        store.folders.put([entry(), other])
        store.folders.erase([entry(), entry(b"/photos/unknown.jpg")])
        assert store.folders.get([(ROOT, entry().path)]) == [other]

    def test_an_entry_that_was_replaced_meanwhile_is_not_erased(self, store: Store) -> None:
        later = replace(entry(), seen_at_ms=NOON_MS + 1)
        store.folders.put([later])
        store.folders.erase([entry()])
        assert store.folders.get([(ROOT, entry().path)]) == [later]

    def test_an_erased_entry_may_be_put_again_later(self, store: Store) -> None:
        later = replace(entry(), seen_at_ms=NOON_MS + 1)
        store.folders.put([entry()])
        store.folders.erase([entry()])
        store.folders.put([later])
        assert store.folders.get([(ROOT, entry().path)]) == [later]

    def test_roots_are_listed_once_and_sorted(self, store: Store) -> None:
        assert store.folders.roots() == ()
        store.folders.add_roots([b"/z", b"/a"])
        store.folders.add_roots([b"/a\xff", b"/z"])
        assert store.folders.roots() == (b"/a", b"/a\xff", b"/z")

    def test_empty_batches_are_harmless(self, store: Store) -> None:
        store.folders.put([])
        store.folders.erase([])
        store.folders.add_roots([])
        assert store.folders.get([]) == []
