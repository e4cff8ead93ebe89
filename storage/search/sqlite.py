"""The search index in SQLite: the bodies of documents, and postings (document, term, value) to find them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from panopticon.errors import UsageError
from panopticon.interfaces import Applied, Finding
from panopticon.messages import MAX_COUNT
from panopticon.results.cursors import PageEnd, Stage, encode_cursor, resume, stages
from panopticon.results.documents import (
    Change,
    SearchDocument,
    decode_document,
    encode_document,
    fold_label,
    merge,
)
from panopticon.results.search import Order, Query, SearchPage
from storage.search.missing import CREATED_OR_REBUILT, missing
from storage.sqlite.checksums import with_checksum
from storage.sqlite.database import SqliteDatabase
from storage.sqlite.diagnosis import diagnose_file

CACHE_BYTES = 64 * 2**20
"""Look-ups are spread over all postings; with the smallest cache they take three times as long."""

_GET = """
SELECT image_id, body
FROM json_each(?) AS wanted CROSS JOIN documents ON image_id = wanted.value JOIN bodies USING (document)
"""

_PUT_DOCUMENT = """
INSERT INTO documents (image_id, deleted, occurred_at_ms) VALUES (?, ?, ?)
ON CONFLICT (image_id) DO UPDATE SET deleted = excluded.deleted, occurred_at_ms = excluded.occurred_at_ms
RETURNING document
"""

_PUT_BODY = "INSERT OR REPLACE INTO bodies (document, body, checksum) VALUES (?, ?, ?)"

_PUT_TERM = "INSERT OR IGNORE INTO terms (part, kind, name) VALUES (?, ?, ?)"

_TERM = "SELECT term FROM terms WHERE part = ? AND kind = ? AND name = ?"

_TERMS_NAMED = """
SELECT term FROM terms WHERE kind = ? AND name = ? AND part IN (SELECT value FROM json_each(?))
"""

_POSTINGS_OF = "SELECT term, value FROM postings WHERE document = ?"

_PUT_POSTING = "INSERT OR REPLACE INTO postings (document, term, value) VALUES (?, ?, ?)"

_DROP_POSTING = "DELETE FROM postings WHERE document = ? AND term = ?"

_PARTS_OF = "SELECT part, policy_number FROM parts WHERE document = ?"

_PUT_PART = "INSERT OR REPLACE INTO parts (document, part, policy_number) VALUES (?, ?, ?)"

_DROP_PART = "DELETE FROM parts WHERE document = ? AND part = ?"

_IDS = """
SELECT image_id FROM documents
WHERE deleted <= :tombstones AND image_id > :after {condition} ORDER BY image_id LIMIT :limit
"""

_COUNT = "SELECT count(*) FROM documents WHERE deleted = 0 {conditions}"

_DOCUMENTS = "SELECT count(*) FROM documents"

_HAS_PART = """
AND EXISTS (
    SELECT 1 FROM parts
    WHERE parts.document = documents.document AND part = {part} AND policy_number < {policy_below}
)
"""

# `matched` has the documents of one condition; the other conditions are looked up for each of these.
_PAGE = """
SELECT page.image_id, page.rank, body FROM (
    SELECT document, image_id, rank FROM (
        SELECT documents.document, image_id, {rank} AS rank FROM {source} WHERE {conditions}
    )
    WHERE {after} ORDER BY rank DESC, image_id LIMIT :limit
) AS page CROSS JOIN bodies USING (document)
ORDER BY page.rank DESC, page.image_id
"""

# A term has each document once, so its index is read from the highest value down, as far as the page needs.
_MATCHED_ONE = """
(SELECT document, value AS highest FROM postings WHERE {condition})
AS matched CROSS JOIN documents USING (document)
"""

_MATCHED_ANY = """
(SELECT document, max(value) AS highest FROM postings WHERE {condition} GROUP BY document)
AS matched CROSS JOIN documents USING (document)
"""

_ALSO = "EXISTS (SELECT 1 FROM postings WHERE postings.document = documents.document AND {condition})"

_HIGHEST = """
ifnull((
    SELECT max(value) FROM postings WHERE postings.document = documents.document AND term IN ({terms})
), -9e999)
"""

_AFTER = "rank <= :rank AND (rank < :rank OR image_id > :image_id)"

_DATED = {True: "occurred_at_ms <> 0", False: "occurred_at_ms = 0", None: "TRUE"}

_SIZE = "SELECT count(*) FROM postings WHERE {condition}"

Term = tuple[str, str, str]
"""(part, kind, name) of a term; the kind is `label` or `score`."""

_Found = tuple[str, float, bytes]
"""(image_id, rank, body) of a document on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A document in the form in which it is stored."""

    document: SearchDocument
    body: bytes
    postings: Mapping[Term, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """The condition that one of the terms has a value from `low` to `high`, both included."""

    terms: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf

    @property
    def sql(self) -> str:
        """The condition in SQL. It contains numbers only, so that no text from a query becomes SQL."""
        return (
            f"term IN ({_listed(self.terms)}) AND value BETWEEN {_number(self.low)} AND {_number(self.high)}"
        )

    def yields_highest(self, terms: tuple[int, ...]) -> bool:
        """Return whether the highest value that satisfies the condition is the highest of all `terms`."""
        return set(self.terms) == set(terms) and (self.high == math.inf or len(self.terms) == 1)


class SqliteSearchIndex:
    """A `SearchIndex` in a file that exists. Only the thread that first uses it may use it.

    The cost of a page grows with the number of documents that satisfy its rarest condition. Only bodies of
    documents on the page are read.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 30.0) -> None:
        """Open nothing yet. Raises: UsageError unless `url` is `sqlite:///…`."""
        self._database = SqliteDatabase(
            url, part="search", busy_timeout_s=busy_timeout_s, cache_bytes=CACHE_BYTES
        )

    def diagnose(self) -> list[Finding]:
        return diagnose_file(self._database, if_missing=CREATED_OR_REBUILT)

    def exists(self) -> bool:
        if not self._database.path.exists():
            return False
        # It raises if the file cannot be used.
        with self._database.reading():
            return True

    def create(self) -> None:
        if not self._database.path.exists():
            # The connection may still have the deleted file.
            self._database.close()
        with self._database.writing():
            pass

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Apply changes in one transaction. A change is refused if its document cannot be stored."""
        with self._present().writing() as connection:
            rows, answers = _applied(connection, changes)
            _write(connection, rows.values())
        return answers

    def rebuild(self) -> SqliteRebuild:
        self.create()
        return SqliteRebuild(self._database)

    def has_rebuild(self) -> bool:
        return self.exists()

    def drop_former(self) -> list[str]:
        """Return nothing: a rebuild in place leaves no former index."""
        return []

    def get(self, image_ids: Sequence[str]) -> dict[str, SearchDocument]:
        with self._present().reading() as connection:
            return _documents(connection, set(image_ids))

    def query(self, query: Query) -> SearchPage:
        """Return one page. Raises: UsageError for a cursor of another query, or for a limit below 1."""
        if query.limit < 1:
            raise UsageError(f"limit {query.limit}: ask for at least 1 document")
        query, end = resume(query)
        with self._present().reading() as connection:
            found = _find(connection, query, end)
        page = found[: query.limit]
        cursor = ""
        if len(found) > query.limit:
            image_id, rank, _ = page[-1]
            cursor = encode_cursor(query, PageEnd(image_id=image_id, rank=rank))
        return SearchPage(
            documents=tuple(decode_document(body) for _, _, body in page),
            cursor=cursor,
            parts=query.parts,
        )

    def image_ids(
        self,
        *,
        after: str = "",
        limit: int,
        part: str = "",
        policy_below: int | None = None,
        tombstones: bool = False,
    ) -> list[str]:
        condition = _HAS_PART.format(part=":part", policy_below=":policy_below") if part else ""
        wanted = {
            "after": after,
            "limit": limit,
            "tombstones": tombstones,
            "part": part,
            "policy_below": MAX_COUNT + 1 if policy_below is None else policy_below,
        }
        with self._present().reading() as connection:
            rows = connection.execute(_IDS.format(condition=condition), wanted).fetchall()
        if rows:
            self._database.refuse_standstill((after,), rows[-1])
        return [image_id for (image_id,) in rows]

    def count(self, parts: Sequence[str] = ()) -> int:
        conditions = _HAS_PART.format(part="?", policy_below=MAX_COUNT + 1) * len(parts)
        with self._present().reading() as connection:
            ((documents,),) = connection.execute(_COUNT.format(conditions=conditions), tuple(parts))
        return int(documents)

    def documents(self) -> int:
        with self._present().reading() as connection:
            ((documents,),) = connection.execute(_DOCUMENTS)
        return int(documents)

    def close(self) -> None:
        self._database.close()

    def _present(self) -> SqliteDatabase:
        """Return the database. Raises: Unavailable if its file does not exist."""
        if not self._database.path.exists():
            # What was written to a deleted file could never be found.
            self._database.close()
            raise missing(str(self._database.path), "there is no such file")
        return self._database


class SqliteRebuild:
    """A `SearchRebuild` in place: it completes documents, and derives their postings again."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Apply changes in one transaction, and derive the postings of unchanged documents again."""
        with self._database.writing() as connection:
            rows, answers = _applied(connection, changes)
            unchanged = _documents(connection, {change.image_id for change in changes} - rows.keys())
            _write(connection, [*rows.values(), *map(_row_of, unchanged.values())])
        return answers

    def finish(self, *, fewer: bool) -> None:
        """Do nothing: the rebuilt documents are in use already."""


def _applied(connection: Connection, changes: Sequence[Change]) -> tuple[dict[str, _Row], list[Applied]]:
    """Return the documents that changed, not yet written, and the result of each change."""
    documents = _documents(connection, {change.image_id for change in changes})
    rows: dict[str, _Row] = {}
    return rows, [_apply(change, documents, rows) for change in changes]


def _documents(connection: Connection, image_ids: set[str]) -> dict[str, SearchDocument]:
    rows = connection.execute(_GET, (json.dumps(sorted(image_ids)),))
    return {image_id: decode_document(body) for image_id, body in rows}


def _apply(change: Change, documents: dict[str, SearchDocument], rows: dict[str, _Row]) -> Applied:
    before = documents.get(change.image_id, SearchDocument(image_id=change.image_id))
    after = merge(before, change)
    if after == before:
        return Applied.STALE
    try:
        rows[change.image_id] = _row_of(after)
    except (ValueError, OverflowError):
        return Applied.REFUSED
    documents[change.image_id] = after
    return Applied.APPLIED


def _row_of(document: SearchDocument) -> _Row:
    """Return a row. Raises: ValueError or OverflowError for what SQLite or JSON cannot store."""
    if abs(document.occurred_at_ms) >= 2**63:
        raise OverflowError(document.occurred_at_ms)
    return _Row(document=document, body=encode_document(document), postings=_postings_of(document))


def _postings_of(document: SearchDocument) -> dict[Term, float]:
    postings: dict[Term, float] = {}
    for part_name, part in document.parts.items():
        for tag in part.tags:
            for label in (tag.label, *tag.ancestors):
                term = (part_name, "label", fold_label(label))
                postings[term] = max(postings.get(term, 0.0), tag.probability)
        postings.update({(part_name, "score", name): float(score) for name, score in part.scores.items()})
    return postings


def _write(connection: Connection, rows: Iterable[_Row]) -> None:
    used = {term for row in rows for term in row.postings}
    connection.executemany(_PUT_TERM, used)
    terms = {term: connection.execute(_TERM, term).fetchone()[0] for term in used}
    for row in rows:
        held = row.document
        fields = (held.image_id, held.deleted, held.occurred_at_ms)
        ((document,),) = connection.execute(_PUT_DOCUMENT, fields).fetchall()
        connection.execute(_PUT_BODY, with_checksum(document, row.body))
        _write_parts(connection, document, held)
        _write_postings(connection, document, {terms[term]: value for term, value in row.postings.items()})


def _write_parts(connection: Connection, document: int, new: SearchDocument) -> None:
    held = dict(connection.execute(_PARTS_OF, (document,)).fetchall())
    numbers = {name: part.policy_number for name, part in new.parts.items()}
    connection.executemany(_DROP_PART, [(document, part) for part in held.keys() - numbers.keys()])
    changed = numbers.items() - held.items()
    connection.executemany(_PUT_PART, [(document, part, number) for part, number in changed])


def _write_postings(connection: Connection, document: int, postings: Mapping[int, float]) -> None:
    held = dict(connection.execute(_POSTINGS_OF, (document,)).fetchall())
    gone = held.keys() - postings.keys()
    new = postings.items() - held.items()
    connection.executemany(_DROP_POSTING, [(document, term) for term in gone])
    connection.executemany(_PUT_POSTING, [(document, term, value) for term, value in new])


def _find(connection: Connection, query: Query, end: PageEnd | None) -> list[_Found]:
    """Return the documents of one page, and one more if there is a next page."""
    conditions = _conditions(connection, query)
    # A label or score that no document has.
    if not all(condition.terms for condition in conditions):
        return []
    ranking = _ranking(connection, query)
    if ranking and not conditions:
        # Documents without the score come last, so they are needed only if the others do not fill the page.
        scored = Stage(dated=None, end=end)
        full = _select(connection, [_Condition(terms=ranking)], ranking, query.limit, scored)
        if len(full) > query.limit:
            return full
    if len(conditions) > 1:
        # The other conditions are looked up for each document of the first, so the rarest comes first.
        conditions.sort(
            key=lambda condition: connection.execute(_SIZE.format(condition=condition.sql)).fetchone()[0]
        )
    found: list[_Found] = []
    for stage in stages(query, end):
        if len(found) <= query.limit:
            found += _select(connection, conditions, ranking, query.limit - len(found), stage)
    return found


def _select(
    connection: Connection,
    conditions: Sequence[_Condition],
    ranking: tuple[int, ...] | None,
    limit: int,
    stage: Stage,
) -> list[_Found]:
    """Return the rows of one page, and one more if there is a next page.

    `ranking`: the terms by whose highest value documents are ordered; None: by their time.
    """
    first, others = conditions[:1], conditions[1:]
    source = "documents"
    if first:
        template = _MATCHED_ONE if len(first[0].terms) == 1 else _MATCHED_ANY
        source = template.format(condition=first[0].sql)
    if ranking is None:
        rank = "occurred_at_ms"
    elif first and first[0].yields_highest(ranking):
        rank = "highest"
    else:
        rank = _HIGHEST.format(terms=_listed(ranking))
    statement = _PAGE.format(
        rank=rank,
        source=source,
        conditions=" AND ".join(
            ["deleted = 0", _DATED[stage.dated], *(_ALSO.format(condition=other.sql) for other in others)]
        ),
        after=_AFTER if stage.end else "TRUE",
    )
    after = {"rank": stage.end.rank, "image_id": stage.end.image_id} if stage.end else {}
    return connection.execute(statement, {**after, "limit": limit + 1}).fetchall()


def _conditions(connection: Connection, query: Query) -> list[_Condition]:
    labels = [[label] for label in query.all_of] + ([list(query.any_of)] if query.any_of else [])
    tagged = [
        _Condition(terms=_labelled(connection, query, group), low=query.min_probability) for group in labels
    ]
    scored = [
        _Condition(
            terms=_terms(connection, query, "score", wanted.name),
            low=-math.inf if wanted.minimum is None else wanted.minimum,
            high=math.inf if wanted.maximum is None else wanted.maximum,
        )
        for wanted in query.scores
    ]
    return tagged + scored


def _labelled(connection: Connection, query: Query, labels: Iterable[str]) -> tuple[int, ...]:
    folded = {fold_label(label) for label in labels}
    return tuple(term for label in sorted(folded) for term in _terms(connection, query, "label", label))


def _terms(connection: Connection, query: Query, kind: str, name: str) -> tuple[int, ...]:
    rows = connection.execute(_TERMS_NAMED, (kind, name, json.dumps(query.parts)))
    return tuple(term for (term,) in rows)


def _ranking(connection: Connection, query: Query) -> tuple[int, ...] | None:
    """Return the terms by whose highest value documents are ordered; None if it is by their time."""
    if query.order is Order.NEWEST:
        return None
    if query.order is Order.SCORE:
        return _terms(connection, query, "score", query.order_score)
    return _labelled(connection, query, (*query.all_of, *query.any_of))


def _listed(terms: Iterable[int]) -> str:
    return ", ".join(f"{term:d}" for term in terms)


def _number(value: float) -> str:
    # SQLite has no word for infinity, but rounds 9e999 to it.
    return repr(float(value)).replace("inf", "9e999")
