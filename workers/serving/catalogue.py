"""The versions that are served: loaded and unloaded while others go on, and chosen by name."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.models import parse_version
from panopticon.results.outputs import VersionName
from workers.serving.problems import Problem
from workers.serving.served_model import ModelState, ServedModel

log = logging.getLogger(__name__)

UNLOAD_POLL_S = 0.05


class ServedCatalogue:
    """The served versions by name. Used by the event loop alone."""

    def __init__(
        self,
        *,
        serve: Callable[[ModelCard], ServedModel],
        active: Callable[[str], VersionName | None],
        changed: Callable[[Sequence[ServedModel]], None],
        unload_timeout_s: float,
    ) -> None:
        """`serve` makes a served model that is not started; `active` names a model's active version.

        `changed` is called with all served versions after each change.
        """
        self._serve = serve
        self._active = active
        self._changed = changed
        self._unload_timeout_s = unload_timeout_s
        self._models: dict[VersionName, ServedModel] = {}
        self._unloads: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[ServedModel]:
        """Yield the served versions in the order of their names."""
        return iter([self._models[version] for version in sorted(self._models, key=_order)])

    @property
    def is_ready(self) -> bool:
        """Return whether each version that is awaited answers, and there is at least one."""
        awaited = self._awaited()
        return bool(awaited) and all(served.ready_replicas for served in awaited)

    def _awaited(self) -> list[ServedModel]:
        return [served for served in self._models.values() if served.awaited and not served.unloading]

    def load(
        self, card: ModelCard, *, awaited: bool = False, prepare: Callable[[], None] | None = None
    ) -> ServedModel:
        """Start to serve a version, next to the others; one that is served already is returned as it is.

        Until it has been up once, the service is ready without it, unless it is `awaited`.

        `prepare` does first what its processes need, and may take minutes, in a thread of its own: until
        then the version is loading. If it raises UsageError or OSError, the version is down until it is
        loaded again.
        Raises: Problem (conflict) while the version is being unloaded.
        """
        served = self._models.get(card.version_name)
        if served is not None and served.unloading:
            raise Problem(
                slug="conflict", detail=f"{card.version_name} is being unloaded; load it afterwards"
            )
        if served is None or served.failed:
            served = self._models[card.version_name] = self._serve(card)
            served.awaited = awaited
            self._changed(list(self))
            if prepare is None:
                served.start()
            else:
                _in_thread(partial(self._prepare, served, prepare, asyncio.get_running_loop()))
        return served

    def _prepare(
        self, served: ServedModel, prepare: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        try:
            prepare()
        # The disk may be full or a file unreadable, which must not end the service for the other versions.
        except (UsageError, OSError) as error:
            log.error("%s: cannot be loaded: %s", served.version, error)
            finish: Callable[[], None] = partial(served.fail, str(error))
        else:
            finish = served.start
        # The service may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish)

    def unload(self, served: ServedModel) -> None:
        """Stop to serve a version: it takes nothing new, finishes what it has, then its processes end."""
        if not served.unloading:
            served.unloading = True
            task = asyncio.get_running_loop().create_task(self._unload(served))
            self._unloads.add(task)
            task.add_done_callback(self._unloads.discard)

    async def _unload(self, served: ServedModel) -> None:
        deadline_s = asyncio.get_running_loop().time() + self._unload_timeout_s
        while served.gate.places and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(UNLOAD_POLL_S)
        served.close()
        await asyncio.to_thread(served.join, self._unload_timeout_s)
        del self._models[served.version]
        self._changed(list(self))
        log.info("%s: unloaded", served.version)

    def close(self) -> None:
        """Let all model processes end."""
        for served in self._models.values():
            served.close()

    def join(self, timeout_s: float) -> None:
        """Wait until they have ended. It may block."""
        for served in self._models.values():
            served.join(timeout_s)

    def choose(self, names: Sequence[str] | None) -> list[ServedModel]:
        """Return the served versions of these names, or one version of each model.

        A name without a version stands for the active version, or the highest one if that is not ready.
        Raises: Problem (unknown-model, invalid-parameter).
        """
        if names is None:
            # A request that names no model does not wait for one that is being loaded for the first time.
            names = sorted({served.version.model for served in self._awaited() or self._models.values()})
        chosen = {served.version: served for served in map(self.find, names)}
        return list(chosen.values())

    def find(self, name: str) -> ServedModel:
        """Return the served version of a name such as `tagger` or `tagger@1`. Raises: as `choose`."""
        if "@" in name:
            served = self._models.get(_version_of(name))
        else:
            served = self._best_of([each for each in self._models.values() if each.version.model == name])
        if served is None:
            raise Problem(
                slug="unknown-model",
                detail=f"{name} is not served",
                parameter="models",
                value=name,
                allowed=[str(each.version) for each in self],
            )
        return served

    def _best_of(self, versions: Sequence[ServedModel]) -> ServedModel | None:
        """Return the active version if it is ready, else the highest one that is, else the highest one."""

        def rank(served: ServedModel) -> tuple[bool, bool, int]:
            is_ready = served.state is ModelState.READY
            is_active = served.version == self._active(served.version.model)
            return (is_ready, is_active, served.version.version)

        return max(versions, key=rank, default=None)


def _in_thread(work: Callable[[], None]) -> None:
    """Run in a thread that the end of the service does not wait for."""
    threading.Thread(target=work, name="prepare", daemon=True).start()


# Requests name the same few versions.
@lru_cache(maxsize=256)
def _version_of(name: str) -> VersionName:
    try:
        return parse_version(name)
    except UsageError as error:
        raise Problem(slug="invalid-parameter", detail=str(error), parameter="models", value=name) from None


def _order(version: VersionName) -> tuple[str, int]:
    return version.model, version.version
