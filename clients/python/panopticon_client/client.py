"""The client for synchronous code."""

from __future__ import annotations

import random
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

from panopticon_client.bodies import Body, Image, body_of
from panopticon_client.calls import Calls, Clock
from panopticon_client.connections import open_pool
from panopticon_client.discovery import Discovery
from panopticon_client.errors import ClientError, Unexpected
from panopticon_client.results import Analysis, HostList, Model, SearchPage, StoredImage, base_url, read
from panopticon_client.rotation import Rotation
from panopticon_client.transport import Answer, Request, Transport

T = TypeVar("T")
Lane = Literal["live", "backfill"]
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Options of one call, of any method."""

    timeout_s: float | None = None
    """Seconds for the whole call, with all its repetitions; None: those of the client."""
    request_id: str = ""
    """The X-Request-Id; empty: a new one."""
    traceparent: str = ""
    """The header of the same name (W3C Trace Context), which is passed on as it is."""


DEFAULT = Call()


class Client:
    """A client that sends each request straight to one of the hosts. Safe for many threads.

    Use it as a context manager, or call `close`. A process that forks opens a new one in the child.
    """

    def __init__(
        self,
        hosts: Sequence[str] = (),
        *,
        discover: str = "",
        token: str = "",
        timeout_s: float = 30.0,
        attempts: int = 10,
        attempt_timeout_s: float | None = None,
        connections: int = 32,
        ca_certs: str | None = None,
        clock: Clock = time,
        random: random.Random = random.SystemRandom(),  # noqa: B008 - it has no state
    ) -> None:
        """Give either `hosts`, their URLs, or `discover`, the URL of any of them.

        `timeout_s`: seconds for each call, with all its repetitions. `attempts`: rounds over the hosts in
        which one of them fails; a busy host does not count. `attempt_timeout_s`: the longest wait for one
        host, after which another is asked; None: all the time of the call. `connections`: idle connections
        that are kept to each host. `ca_certs`: a PEM file of the trusted authorities; None: the system's.

        Raises: ValueError for options that can never work.
        """
        if isinstance(hosts, str):
            raise ValueError("hosts is a list of URLs; for a single host write hosts=[…]")
        if bool(hosts) == bool(discover):
            raise ValueError("give either hosts or discover")
        if token and not _HEADER_VALUE.fullmatch(token):
            # Without the token: this message may be logged.
            raise ValueError("the token has a space, a line end or a character that is not ASCII")
        if timeout_s <= 0 or attempts < 1 or (attempt_timeout_s is not None and attempt_timeout_s <= 0):
            raise ValueError("timeout_s and attempt_timeout_s must be above 0, and attempts at least 1")
        self._timeout_s = timeout_s
        self._clock = clock
        self._headers = {"Accept": "application/json", "User-Agent": "panopticon-client"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._transport = Transport(open_pool(connections=connections, ca_certs=ca_certs))
        self._calls = Calls(
            self._transport,
            clock=clock,
            random=random,
            attempts=attempts,
            attempt_timeout_s=attempt_timeout_s,
        )
        self._find_hosts = self._finder(hosts, discover, random)

    def _finder(self, hosts: Sequence[str], discover: str, random: random.Random) -> Callable[..., Rotation]:
        if not discover:
            rotation = Rotation(map(base_url, hosts), random=random)
            return lambda **_: rotation
        return Discovery(
            discover,
            transport=self._transport,
            calls=self._calls,
            clock=self._clock,
            random=random,
            headers=self._headers,
        ).hosts

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    def analyze(
        self,
        image: Image,
        *,
        models: str | Sequence[str] = (),
        top_k: int | None = None,
        vectors: bool = False,
        lane: Lane = "live",
        call: Call = DEFAULT,
    ) -> Analysis:
        """Return the answers of the models about one image: bytes, the path of a file, or a URI.

        A text with `://` in it is a URI, which the host fetches. The file of a path is read while it is
        sent. `models`: such as `tagger` or `tagger@1`; none: every model that is served. `top_k`: the number
        of tags at most. `vectors`: with the stored outputs.

        Raises: Rejected, Busy, Unavailable, Unexpected, Unreadable.
        """
        named = models if isinstance(models, str) else ",".join(models)
        query = {"models": named, "top_k": top_k, "vectors": "true" if vectors else None}
        answer, request_id = self._ask(
            "POST",
            "/v1/analyze",
            {key: value for key, value in query.items() if value not in (None, "")},
            body=body_of(image),
            kind=lane,
            headers={"X-Panopticon-Lane": lane},
            call=call,
        )
        return self._read(
            answer, request_id, lambda raw: Analysis.of(raw, host=answer.host, request_id=request_id)
        )

    def analyze_many(
        self,
        images: Iterable[Image],
        *,
        at_once: int = 8,
        models: str | Sequence[str] = (),
        top_k: int | None = None,
        vectors: bool = False,
        lane: Lane = "live",
        call: Call = DEFAULT,
    ) -> Generator[Analysis | ClientError, None, None]:
        """Yield the analysis of each image in order, or the error that its call raised.

        Each image is a request of its own, so that all hosts share the work and one bad image stops none of
        the others; `at_once` of them are under way, and no more images than those are taken from `images`.
        A `request_id` in `call` is that of all the requests.
        """
        if at_once < 1:
            raise ValueError("at_once must be at least 1")

        def analyze(image: Image) -> Analysis | ClientError:
            try:
                return self.analyze(image, models=models, top_k=top_k, vectors=vectors, lane=lane, call=call)
            except ClientError as error:
                return error

        def yield_in_order() -> Generator[Analysis | ClientError, None, None]:
            threads = ThreadPoolExecutor(at_once, thread_name_prefix="panopticon-client")
            waiting: deque[Future[Analysis | ClientError]] = deque()
            try:
                for image in images:
                    waiting.append(threads.submit(analyze, image))
                    if len(waiting) == at_once:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

        return yield_in_order()

    def models(self, *, call: Call = DEFAULT) -> tuple[Model, ...]:
        """Return the model versions of the host that answers."""
        answer, request_id = self._ask("GET", "/v1/models", {}, call=call)
        return self._read(answer, request_id, lambda raw: tuple(map(Model.of, raw["models"])))

    def image(self, image_id: str, *, call: Call = DEFAULT) -> StoredImage:
        """Return all that the store has about one image. Raises: Rejected (404) if it has nothing."""
        answer, request_id = self._ask("GET", f"/v1/images/{quote(image_id, safe='')}", {}, call=call)
        return self._read(answer, request_id, lambda raw: StoredImage(image_id=image_id, raw=raw))

    def search(self, /, *, call: Call = DEFAULT, **query: object) -> SearchPage:
        """Return the images that a search finds. `query`: the parameters of `GET /v1/search`, such as
        `all="cat"`; one that is given several times is a list."""
        answer, request_id = self._ask("GET", "/v1/search", query, call=call)
        return self._read(answer, request_id, SearchPage.of)

    def hosts(self, *, call: Call = DEFAULT) -> HostList:
        """Return the list of hosts as the host that answers has it."""
        answer, request_id = self._ask("GET", "/v1/hosts", {}, call=call)
        return self._read(answer, request_id, HostList.of)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        *,
        call: Call,
        body: Body | None = None,
        kind: str = "read",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Answer, str]:
        """Return the answer and the ID of the call."""
        timeout_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        deadline_s = self._clock.monotonic() + timeout_s
        request_id = call.request_id or uuid4().hex
        sent = {**self._headers, **(headers or {}), "X-Request-Id": request_id}
        if call.traceparent:
            sent["traceparent"] = call.traceparent
        for name in ("X-Request-Id", "traceparent"):
            if name in sent and not _HEADER_VALUE.fullmatch(sent[name]):
                raise ValueError(f"{name} is {sent[name][:80]!r}; it must be ASCII without spaces")
        hosts = self._find_hosts(request_id=request_id, deadline_s=deadline_s)
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        request = Request(method=method, target=target, kind=kind, headers=sent, body=body)
        return self._calls.ask(request, hosts, request_id=request_id, deadline_s=deadline_s), request_id

    def _read(self, answer: Answer, request_id: str, make: Callable[[dict[str, Any]], T]) -> T:
        try:
            raw = answer.json()
            return read(lambda: make(raw), "the answer")
        except ValueError as error:
            message = f"{answer.host}: {error} (request {request_id})"
            raise Unexpected(message, request_id=request_id) from None
