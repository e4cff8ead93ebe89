"""The indexes behind one alias: created on request only, checked before use, and rebuilt side by side."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from opensearchpy.exceptions import RequestError

from panopticon.errors import UsageError
from storage.search.missing import missing
from storage.search.opensearch.connection import OpenSearchConnection
from storage.search.opensearch.errors import Gone, not_opensearch, unavailable

log = logging.getLogger(__name__)

PROGRAM = "panopticon"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """The indexes that changes are written to now."""

    live: str | None
    """The index that answers queries; None if it was deleted, or never created."""
    building: str | None
    """The index that a rebuild fills, and that will replace the live one."""

    @property
    def names(self) -> list[str]:
        """The indexes that there are."""
        return [name for name in (self.live, self.building) if name]


class IndexLifecycle:
    """The lifecycle of the indexes behind one alias: creation, check, replacement and removal.

    Also stores the script that merges changes.

    Every method raises: UsageError if a person has to act, Unavailable if waiting helps, Gone if something
    was deleted.
    """

    def __init__(self, connection: OpenSearchConnection) -> None:
        self._connection = connection
        self._address = connection.address
        self._checked: set[str] = set()
        self._recognised = self._scripted = self._ready = False

    @property
    def alias(self) -> str:
        """The alias of the live index."""
        return self._address.index

    @property
    def building_alias(self) -> str:
        """The alias of the index that a rebuild fills; no index has it at other times."""
        return f"{self._address.index}-building"

    @cached_property
    def script(self) -> str:
        """The name of the stored script that merges changes; it changes with the text of the script."""
        return f"{PROGRAM}-merge-{hashlib.sha256(_merge_rule().encode()).hexdigest()[:12]}"

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Turn `Gone` into `Unavailable`, and let the next use look for what is missing."""
        try:
            yield
        except Gone as gone:
            self.forget()
            if not self.look().names:
                raise self._missing() from gone
            raise unavailable(self._address, str(gone)) from gone

    def ready(self) -> None:
        """Make sure that an index that this program may use answers queries. Asks the server only once."""
        if not self._ready:
            if self.state().live is None:
                raise self._missing()
            self._ready = True

    def forget(self) -> None:
        """Check everything again at the next use."""
        self._checked.clear()
        self._recognised = self._scripted = self._ready = False

    def targets(self) -> list[str]:
        """Return the aliases that every change is written to at this moment.

        While an index that was lost is being rebuilt, that is the new one alone.
        """
        state = self.state()
        aliases = ((state.live, self.alias), (state.building, self.building_alias))
        return [alias for index, alias in aliases if index]

    def state(self) -> IndexState:
        """Return the present indexes. Raises: Unavailable, with the way out, if there is none."""
        found = self.present()
        if not found.names:
            raise self._missing()
        return found

    def present(self) -> IndexState:
        """Return the present indexes, checked, if there are any."""
        if not self._recognised:
            # Nothing is ever stored on a server that is not OpenSearch.
            self.product()
            self._recognised = True
        found = self.look()
        for index in found.names:
            self.check(index)
        return found

    def store_script(self) -> None:
        """Store the script that merges changes. Asks the server only once."""
        if not self._scripted:
            script = {"lang": "painless", "source": _merge_rule()}
            self._connection.ask("PUT", f"/_scripts/{self.script}", {"script": script})
            self._scripted = True

    def create(self) -> None:
        """Create an empty index, unless there is one, or a rebuild is creating one."""
        if self.present().names:
            return
        self._create(1, alias=self.alias)
        # Nothing changed, because an index of this name exists and does not have the alias.
        if not self.present().names:
            raise UsageError(
                f"search {self._address}: {self._numbered(1)} exists without its alias {self.alias};"
                " add the alias, or delete the index if nobody needs it"
            )

    def look(self) -> IndexState:
        """Return the present indexes without creating any."""
        found = self._connection.ask("GET", f"/_alias/{self.alias}*")
        holders = {
            alias: sorted(index for index, entry in found.items() if alias in entry["aliases"])
            for alias in (self.alias, self.building_alias)
        }
        for alias, indexes in holders.items():
            if len(indexes) > 1:
                raise UsageError(
                    f"search {self._address}: alias {alias} points at {' and '.join(indexes)};"
                    " remove it from all but one"
                )
        live, building = (next(iter(indexes), None) for indexes in holders.values())
        return IndexState(live=live, building=building)

    def check(self, index: str) -> None:
        """Raise UsageError unless the mapping is that of this version of Panopticon."""
        if index in self._checked:
            return
        mapping = self._connection.ask("GET", f"/{index}/_mapping")[index]["mappings"]
        meta, known = mapping.get("_meta") or {}, _mapping()["_meta"]["version"]
        if meta.get("program") != PROGRAM:
            raise UsageError(
                f"search {self._address}: {index} belongs to another program; name another index"
            )
        if meta["version"] > known:
            raise UsageError(
                f"search {self._address}: the mapping of {index} has version {meta['version']}, this program"
                f" knows {known}; upgrade panopticon or name another index"
            )
        if meta["version"] < known:
            raise UsageError(
                f"search {self._address}: the mapping of {index} has version {meta['version']}, this program"
                f" needs {known}; name another index and fill it: panopticon search rebuild --all"
            )
        self._checked.add(index)

    def product(self) -> str:
        """Return the version of the server. Raises: UsageError if it is not OpenSearch."""
        try:
            answer = self._connection.ask("GET", "/")
        except Gone:
            # OpenSearch always answers at its root, so this is another server.
            answer = None
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, dict) or version.get("distribution") != "opensearch":
            raise not_opensearch(self._address)
        return str(version.get("number"))

    def begin(self) -> None:
        """Create an empty index next to the live one, unless a rebuild has one already."""
        if self.present().building is None:
            indexes = self._connection.ask("GET", f"/{self.alias}*/_alias")
            if self.alias in indexes:
                raise self._name_is_taken()
            self._create(max(map(self._number, indexes), default=0) + 1, alias=self.building_alias)

    def switch(self) -> str | None:
        """Let the new index answer queries, in one atomic step. Return the name of the former one, if any."""
        state = self.state()
        if state.building is None:
            raise UsageError(
                f"search {self._address}: no rebuild is under way; another process has finished it"
            )
        remove, add = {"must_exist": True}, {"index": state.building, "alias": self.alias}
        former = [{"remove": {"index": state.live, "alias": self.alias, **remove}}] if state.live else []
        actions = [
            *former,
            {"add": add},
            {"remove": {"index": state.building, "alias": self.building_alias, **remove}},
        ]
        self._connection.ask("POST", "/_aliases", {"actions": actions})
        return state.live

    def drop_former(self) -> list[str]:
        """Delete the former indexes, and return their names."""
        former = self.former()
        for name in former:
            self._connection.ask("DELETE", f"/{name}")
        return former

    def former(self) -> list[str]:
        """Return the numbered indexes without an alias, which earlier rebuilds replaced."""
        found = self._connection.ask("GET", f"/{self.alias}-*/_alias")
        return sorted(name for name in found if self._number(name) and not found[name]["aliases"])

    def documents(self, alias: str) -> int:
        """Count the documents of an index that queries find, tombstones included."""
        return int(self._connection.ask("GET", f"/{alias}/_count")["count"])

    def refresh(self, alias: str) -> None:
        """Let queries find all that was applied to an index."""
        self._connection.ask("POST", f"/{alias}/_refresh")

    def _create(self, number: int, *, alias: str) -> None:
        replicas = self._address.replicas
        # Unless the URL has a number, there is a second copy as soon as there is a second node.
        copies = {"auto_expand_replicas": "0-1"} if replicas is None else {"number_of_replicas": replicas}
        settings = {"index": {"number_of_shards": self._address.shards, **copies}}
        # The index gets its alias in the same step. If two clients create it, the second finds it there.
        body = {"mappings": _mapping(), "settings": settings, "aliases": {alias: {}}}
        try:
            self._connection.ask(
                "PUT", f"/{self._numbered(number)}", body, timeout=self._connection.shard_wait
            )
        except RequestError as error:
            if error.error == "invalid_alias_name_exception":
                raise self._name_is_taken() from None
            if error.error != "resource_already_exists_exception":
                raise
        else:
            log.info("created the search index %s", self._numbered(number))

    def _missing(self) -> Exception:
        """Return the error of an index that does not exist, with what there is under its name."""
        found = self._connection.ask("GET", f"/{self.alias}*/_alias")
        if self.alias in found:
            return self._name_is_taken()
        left = sorted(name for name in found if self._number(name) and not found[name]["aliases"])
        seen = f"there is no index {self.alias}"
        if self.look().building is not None:
            seen += "; a rebuild is under way or was interrupted"
        elif left:
            seen += f"; {' and '.join(left)} exists without that alias"
        return missing(str(self._address), seen)

    def _name_is_taken(self) -> UsageError:
        return UsageError(
            f"search {self._address}: {self.alias} is an index, and must be an alias of one; use another name"
        )

    def _numbered(self, number: int) -> str:
        return f"{self.alias}-{number:06d}"

    def _number(self, index: str) -> int:
        """Return the number of one of our numbered indexes, and 0 for any other index."""
        found = re.fullmatch(rf"{re.escape(self.alias)}-(\d{{6}})", index)
        return int(found[1]) if found else 0


def _mapping() -> dict[str, Any]:
    mapping: dict[str, Any] = json.loads(_text("mapping.json"))
    return mapping


def _merge_rule() -> str:
    return _text("merge.painless")


def _text(name: str) -> str:
    return (resources.files("storage.search.opensearch") / name).read_text("utf-8")
