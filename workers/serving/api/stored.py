"""Reading store and search for a request, and the problems of requests that get no answer from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from panopticon.errors import Damaged, Unavailable, UsageError
from workers.inspection.search import MistakenQuestion
from workers.registry.active import NothingActive
from workers.serving.problems import Problem
from workers.serving.reading import Readers, ReadersBusy, ReadingParts, ReadTooLate

REPAIRED_AFTER_S = 60.0
"""The time to wait if a person has to act first."""


async def answer_stored(readers: Readers, read: Callable[[ReadingParts], Any]) -> Response:
    """Answer with the JSON of what `read` returns, in a thread of the readers. Raises: Problem."""
    try:
        body = await readers.run(lambda parts: _encoded(read(parts)))
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
    except MistakenQuestion as error:
        raise Problem(
            slug="invalid-parameter",
            detail=str(error),
            parameter=error.option,
            value=error.value,
            allowed=error.allowed if isinstance(error.allowed, str) else list(error.allowed),
        ) from None
    except NothingActive as error:
        # The question is right, and no other host with this store has an answer.
        raise Problem(slug="conflict", detail=str(error)) from None
    except ReadersBusy as error:
        raise Problem(slug="busy", detail=str(error)) from None
    except ReadTooLate as error:
        raise Problem(slug="deadline", detail=str(error)) from None
    except Unavailable as error:
        raise Problem(slug="store-down", detail=str(error), component=error.component) from error
    except UsageError as error:
        # Every mistake of the client was found above. What remains is the operator's: a damaged database,
        # settings that name none, a schema of another release. It is 503 rather than 500, because nothing in
        # the program has to change before the same request succeeds.
        raise Problem(
            slug="store-down",
            detail=str(error),
            reason="damaged" if isinstance(error, Damaged) else "misconfigured",
            retry_after_s=REPAIRED_AFTER_S,
        ) from error


def _encoded(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
