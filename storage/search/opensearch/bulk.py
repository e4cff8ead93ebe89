"""Changes sent in bulk requests, each with its own result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from opensearchpy.exceptions import TransportError

from panopticon.errors import UsageError
from panopticon.interfaces import Applied
from panopticon.results.documents import Change
from storage.search.opensearch.connection import OpenSearchConnection
from storage.search.opensearch.encoding import encode_change, encode_target
from storage.search.opensearch.errors import Gone, is_down, is_gone, line_of, unavailable
from storage.search.opensearch.index_lifecycle import IndexLifecycle

CONFLICTS = 8
"""Retries by the server when another client changes the document at the same moment."""
ROUNDS = 8
"""Rounds in which this client sends such changes again, and those for which an alias has moved."""
MAX_CHARS = 4 * 2**20
"""The most characters in one request."""

_WEIGHT = {Applied.STALE: 0, Applied.APPLIED: 1, Applied.REFUSED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One change that is sent to one index."""

    number: int
    text: str


class BulkWriter:
    """The writer of changes into one index, or into two during a rebuild."""

    def __init__(self, connection: OpenSearchConnection, lifecycle: IndexLifecycle) -> None:
        self._connection = connection
        self._lifecycle = lifecycle

    def apply(self, changes: Sequence[Change], aliases: Callable[[], Sequence[str]]) -> list[Applied]:
        """Send changes to all aliases; return the result of each, in order.

        A change is refused if any index refuses it, else applied if any index applies it, else stale.
        `aliases` is called before each round, since a rebuild may begin or end in between.

        Raises: Unavailable, after everything that can be applied is.
        """
        encoded: dict[int, str] = {}
        for number, change in enumerate(changes):
            # A change that cannot be encoded is not sent, and counts as refused.
            with suppress(ValueError, OverflowError):
                encoded[number] = encode_change(change, script=self._lifecycle.script)
        answers = [Applied.STALE if number in encoded else Applied.REFUSED for number in range(len(changes))]
        waiting = list(encoded)
        for _ in range(ROUNDS):
            if not waiting:
                return answers
            # The server is looked at before anything is stored on it.
            targets = aliases()
            self._lifecycle.store_script()
            waiting = self._round(_items(changes, encoded, waiting, targets), answers)
        raise unavailable(self._connection.address, "other clients keep changing the same documents")

    def _round(self, items: Iterable[_Item], answers: list[Applied]) -> list[int]:
        """Send each item once; return the numbers of the changes that must be sent again."""
        again: set[int] = set()
        errors: list[Exception] = []
        for portion in _portions(items):
            for item, outcome in zip(portion, self._send(portion), strict=True):
                if isinstance(outcome, Gone):
                    again.add(item.number)
                elif isinstance(outcome, Applied):
                    answers[item.number] = max(answers[item.number], outcome, key=_WEIGHT.__getitem__)
                else:
                    errors.append(outcome)
        # Everything was sent: an error of one item keeps no other item from its index.
        if errors:
            raise errors[0]
        # An index may have been deleted or replaced, so the next round must look for them.
        if again:
            self._lifecycle.forget()
        return sorted(again)

    def _send(self, portion: Sequence[_Item]) -> list[Applied | Exception]:
        # A request that is too large for the server, or for a proxy in front of it, is sent in two halves.
        try:
            answers = self._connection.bulk("".join(item.text for item in portion))
        except TransportError as error:
            if error.status_code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise
            # A single change that is too large can never be stored.
            if len(portion) == 1:
                return [Applied.REFUSED]
            middle = len(portion) // 2
            return self._send(portion[:middle]) + self._send(portion[middle:])
        return [self._outcome_of(answer) for answer in answers]

    def _outcome_of(self, answer: Mapping[str, Any]) -> Applied | Exception:
        """Return the result of one item, or its error; `Gone` means that it must be sent again."""
        status, cause, where = answer["status"], answer.get("error"), self._connection.address
        if cause is None:
            return Applied.STALE if answer["result"] == "noop" else Applied.APPLIED
        if status == HTTPStatus.CONFLICT or is_gone(cause):
            return Gone(line_of(cause))
        if is_down(status, cause):
            return unavailable(where, f"{status} {line_of(cause)}")
        if status == HTTPStatus.FORBIDDEN:
            return UsageError(f"search {where}: a write was forbidden: {line_of(cause)}")
        return Applied.REFUSED


def _items(
    changes: Sequence[Change], encoded: Mapping[int, str], waiting: Iterable[int], aliases: Sequence[str]
) -> Iterator[_Item]:
    for number in waiting:
        for alias in aliases:
            target = encode_target(changes[number].image_id, alias, conflicts=CONFLICTS)
            yield _Item(number=number, text=f"{target}\n{encoded[number]}\n")


def _portions(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    portion: list[_Item] = []
    size = 0
    for item in items:
        if portion and size + len(item.text) > MAX_CHARS:
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += len(item.text)
    if portion:
        yield portion
