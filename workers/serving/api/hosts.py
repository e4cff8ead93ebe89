"""`GET /v1/hosts`: the hosts of this deployment, for clients that send images straight to one of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from workers.serving.hosts import SELF_MAX_AGE_S, HostList, Hosts, url_of

Endpoint = Callable[[Request], Awaitable[Response]]


def hosts_endpoint(hosts: Hosts | None, *, http_host: str, scheme: str) -> Endpoint:
    """Return the endpoint. It raises Unavailable while no list could be read yet.

    `hosts`: None if the setting `hosts` is empty; then the list has this host alone, at `http_host`.
    """

    async def show_hosts(request: Request) -> Response:
        # It may wait for a file or for DNS.
        found = await run_in_threadpool(hosts.current) if hosts else own(request)
        # Whole seconds, and never longer than the list holds.
        return JSONResponse({"hosts": found.urls, "max_age_s": max(1, math.floor(found.max_age_s))})

    def own(request: Request) -> HostList:
        local_host, port = request.scope["server"]
        url = url_of(http_host, scheme=scheme, local_host=local_host, port=port)
        return HostList(urls=(url,), max_age_s=SELF_MAX_AGE_S)

    return show_hosts
