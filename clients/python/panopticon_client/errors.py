"""The errors of a call. Each class answers "what now?".

ClientError
├── Rejected      this request will never succeed: do not repeat it
├── Busy          every host has as much as it admits: come back after `retry_after_s`
├── Unavailable   no host answered in time: come back later
├── Unexpected    an answer that is not part of the API: look at the host that the message names
└── Unreadable    the file of an image cannot be read: nothing was asked
"""

from __future__ import annotations

from panopticon_client.results import Problem


class ClientError(Exception):
    """The base class of every error that a call raises on purpose. No message contains the token."""

    def __init__(self, message: str, *, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id
        """The X-Request-Id of the call, which the logs of the hosts contain."""


class Rejected(ClientError):  # noqa: N818
    """A status from 400 to 499 other than 408 and 429, such as 422 for bytes that are not a picture."""

    def __init__(self, message: str, *, host: str, problem: Problem, request_id: str = "") -> None:
        super().__init__(message, request_id=request_id)
        self.host = host
        self.problem = problem

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def reason(self) -> str:
        """The reason code, such as `undecodable`; empty if the answer has none."""
        return self.problem.reason


class Busy(ClientError):  # noqa: N818
    """The gates of all hosts were full until the time of the call was over."""

    def __init__(self, message: str, *, retry_after_s: float, request_id: str = "") -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after_s = retry_after_s
        """Seconds after which the first of the hosts may be asked again."""


class Unavailable(ClientError):  # noqa: N818
    """No host has answered: each was down, draining, too slow, or broke off its answer."""


class Unexpected(ClientError):  # noqa: N818
    """An answer that the API does not have: a redirect, a status 500, something other than JSON."""


class Unreadable(ClientError):  # noqa: N818
    """A file that cannot be read, or that changed while it was being sent."""
