"""The indexes behind one alias: made at first use, checked before use, rebuilt side by side."""

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
from storage.search.opensearch.connection import Connection
from storage.search.opensearch.errors import Gone, no_opensearch, unavailable

log = logging.getLogger(__name__)

PROGRAM = "panopticon"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """Which indexes are written to now."""

    live: str | None
    """The one that answers."""
    building: str | None
    """The one that is to take its place."""


class Indexes:
    """Aliases, indexes and the merge script of one address.

    Every method raises: UsageError where a person has to do something, Unavailable where waiting helps, Gone.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._address = connection.address
        self._checked: set[str] = set()
        self._scripted = False
        self._ready = False

    @property
    def alias(self) -> str:
        """Of the index that answers."""
        return self._address.index

    @property
    def building_alias(self) -> str:
        """Of the index that a rebuild fills; nothing has it at other times."""
        return f"{self._address.index}-building"

    @cached_property
    def script(self) -> str:
        """The name under which the server keeps our merge rule: another text has another name."""
        return f"{PROGRAM}-merge-{hashlib.sha256(_merge_rule().encode()).hexdigest()[:12]}"

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """What turns out to be gone is an outage, and made anew at the next use."""
        try:
            yield
        except Gone as gone:
            self.forget()
            raise unavailable(self._address, str(gone)) from gone

    def ready(self) -> None:
        """Return when there is an index that this program may use; asks the server once only."""
        if not self._ready:
            self.state()

    def forget(self) -> None:
        """Look at everything again at the next use."""
        self._checked.clear()
        self._scripted = self._ready = False

    def targets(self) -> list[str]:
        """The aliases that every change goes to, as it is at this moment."""
        state = self.state()
        return [self.alias, self.building_alias] if state.building else [self.alias]

    def state(self) -> IndexState:
        """Makes the first index where there is none."""
        self._put_script()
        found = self.look()
        if found.live is None:
            self._create(1, alias=self.alias)
            found = self.look()
        if found.live is None:
            raise UsageError(
                f"search {self._address}: {self._numbered(1)} is there, but no alias {self.alias} of it;"
                " add the alias, or delete the index if nobody needs it"
            )
        for index in filter(None, (found.live, found.building)):
            self.check(index)
        self._ready = True
        return found

    def look(self) -> IndexState:
        """As it is; nothing is made."""
        found = self._connection.ask("GET", f"/_alias/{self.alias}*")
        holders = {
            alias: sorted(index for index, entry in found.items() if alias in entry["aliases"])
            for alias in (self.alias, self.building_alias)
        }
        for alias, indexes in holders.items():
            if len(indexes) > 1:
                raise UsageError(
                    f"search {self._address}: alias {alias} points at {' and '.join(indexes)};"
                    " leave it to one of them"
                )
        live, building = (next(iter(indexes), None) for indexes in holders.values())
        return IndexState(live=live, building=building)

    def check(self, index: str) -> None:
        """Raises: UsageError for a mapping that is not this program's."""
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
                f" needs {known}; name another index and fill it: panopticon search rebuild --ids FILE"
            )
        self._checked.add(index)

    def product(self) -> str:
        """The server's version. Raises: UsageError if it is no OpenSearch."""
        try:
            answer = self._connection.ask("GET", "/")
        except Gone:
            answer = None
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, dict) or version.get("distribution") != "opensearch":
            raise no_opensearch(self._address)
        return str(version.get("number"))

    def begin(self) -> None:
        """Make an empty index beside the one that answers; goes on with one that is there already."""
        if self.state().building is None:
            self._create(self._newest() + 1, alias=self.building_alias)

    def switch(self) -> str:
        """Let the new index answer, in one step. Returns the name of the former one."""
        state = self.state()
        if state.building is None or state.live is None:
            raise UsageError(
                f"search {self._address}: no rebuild is under way; somebody else has finished it"
            )
        remove, add = {"must_exist": True}, {"index": state.building, "alias": self.alias}
        actions = [
            {"remove": {"index": state.live, "alias": self.alias, **remove}},
            {"add": add},
            {"remove": {"index": state.building, "alias": self.building_alias, **remove}},
        ]
        self._connection.ask("POST", "/_aliases", {"actions": actions})
        return state.live

    def drop_former(self) -> list[str]:
        """Delete them; says which."""
        former = self.former()
        for name in former:
            self._connection.ask("DELETE", f"/{name}")
        return former

    def former(self) -> list[str]:
        """The numbered indexes that no alias points at."""
        found = self._connection.ask("GET", f"/{self.alias}-*/_alias")
        return sorted(name for name in found if self._number(name) and not found[name]["aliases"])

    def documents(self, alias: str) -> int:
        """How many it holds, tombstones too."""
        self._connection.ask("POST", f"/{alias}/_refresh")
        return int(self._connection.ask("GET", f"/{alias}/_count")["count"])

    def _put_script(self) -> None:
        if self._scripted:
            return
        self.product()
        script = {"lang": "painless", "source": _merge_rule()}
        self._connection.ask("PUT", f"/_scripts/{self.script}", {"script": script})
        self._scripted = True

    def _create(self, number: int, *, alias: str) -> None:
        """With its alias, in one step; whoever comes second finds it made."""
        body = {"mappings": _mapping(), "settings": self._settings(), "aliases": {alias: {}}}
        try:
            self._connection.ask(
                "PUT", f"/{self._numbered(number)}", body, timeout=self._connection.shard_wait
            )
        except RequestError as error:
            if error.error == "invalid_alias_name_exception":
                raise UsageError(
                    f"search {self._address}: {self.alias} is an index, and must be an alias of one;"
                    " name another"
                ) from None
            if error.error != "resource_already_exists_exception":
                raise
        else:
            log.info("made the search index %s", self._numbered(number))

    def _settings(self) -> dict[str, Any]:
        replicas = self._address.replicas
        copies = {"auto_expand_replicas": "0-1"} if replicas is None else {"number_of_replicas": replicas}
        return {"index": {"number_of_shards": self._address.shards, **copies}}

    def _newest(self) -> int:
        return max(map(self._number, self._connection.ask("GET", f"/{self.alias}-*/_alias")), default=0)

    def _numbered(self, number: int) -> str:
        return f"{self.alias}-{number:06d}"

    def _number(self, index: str) -> int:
        """0 of what is none of our numbered indexes."""
        found = re.fullmatch(rf"{re.escape(self.alias)}-(\d{{6}})", index)
        return int(found[1]) if found else 0


def _mapping() -> dict[str, Any]:
    mapping: dict[str, Any] = json.loads(_text("mapping.json"))
    return mapping


def _merge_rule() -> str:
    return _text("merge.painless")


def _text(name: str) -> str:
    return (resources.files("storage.search.opensearch") / name).read_text("utf-8")
