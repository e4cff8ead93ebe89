"""Errors of the driver, translated to those of Panopticon. No text contains a credential."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from pika import exceptions as pika_errors
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorException,
)

from panopticon.errors import PanopticonError, Unavailable, UsageError
from workers.queues.rabbitmq.url import RabbitAddress

PART = "queue"
ACCESS_REFUSED = 403
NOT_FOUND = 404
PRECONDITION_FAILED = 406
NOT_ALLOWED = 530

GIVE_PERMISSIONS = (
    r"give it with rabbitmqctl set_permissions: configure, write and read on ^panopticon\..*, and write on"
    r" ^amq\.default$"
)

_LOST = (pika_errors.AMQPConnectionError, pika_errors.AMQPChannelError, AMQPConnectorException, OSError)

_DIFFERENCE = re.compile(r"inequivalent arg '(.+?)' for (queue|exchange) '(.+?)' in vhost '.*?': (.*)")

# Pika passes an error of the broker's TLS on as text only.
_REFUSED_CERTIFICATE = re.compile(r"\[SSL: \w*ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA)\]")


def down(reason: str) -> Unavailable:
    """Return the error of a broker that does not do what it is asked."""
    return Unavailable(PART, reason)


def translated(error: BaseException, address: RabbitAddress) -> BaseException:
    """Return a `UsageError`, an `Unavailable`, or the error itself if it is a bug."""
    if isinstance(error, PanopticonError):
        return error
    causes = [*_causes(error)]
    for cause in causes:
        if (mistake := _usage_error(cause, address)) is not None:
            return mistake
    if isinstance(error, _LOST):
        return down(f"{address}: {_line(causes[-1])}")
    return error


def is_missing(error: BaseException) -> bool:
    """Return whether the broker closed the channel because a queue or an exchange does not exist."""
    return isinstance(error, pika_errors.ChannelClosedByBroker) and error.reply_code == NOT_FOUND


def is_forbidden(error: BaseException) -> bool:
    """Return whether the broker closed the channel because the user lacks a permission."""
    return isinstance(error, pika_errors.ChannelClosedByBroker) and error.reply_code == ACCESS_REFUSED


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and those that pika wrapped in it; the last one is the most precise."""
    yield error
    inner = [*getattr(error, "exceptions", ())] if isinstance(error, AMQPConnectionWorkflowFailed) else []
    if isinstance(error, AMQPConnectorException) and isinstance(
        wrapped := getattr(error, "exception", None), BaseException
    ):
        inner.append(wrapped)
    inner += [arg for arg in error.args if isinstance(arg, BaseException) and arg not in inner]
    for each in inner:
        yield from _causes(each)


def _usage_error(error: BaseException, address: RabbitAddress) -> UsageError | None:
    if isinstance(error, pika_errors.AuthenticationError | pika_errors.ProbableAuthenticationError):
        return UsageError(
            f"broker {address}: login refused for user {address.user!r}; check user and password"
        )
    # A broker refuses a virtual host by a code, or closes the connection without one, which pika guesses.
    if isinstance(error, pika_errors.ProbableAccessDeniedError):
        return _vhost_refused(address)
    if isinstance(error, pika_errors.ConnectionClosedByBroker) and error.reply_code == NOT_ALLOWED:
        return _vhost_refused(address)
    if isinstance(error, pika_errors.ChannelClosedByBroker):
        return _refused(error.reply_code, error.reply_text, address)
    if isinstance(error, ssl.SSLCertVerificationError):
        return UsageError(
            f"broker {address}: its certificate does not verify; cafile must hold what signed it, and the "
            f"URL must name a host that it is for: {error.verify_message}"
        )
    if _REFUSED_CERTIFICATE.search(str(error)):
        return UsageError(
            f"broker {address}: it refuses our certificate, or misses one; certfile and keyfile must be "
            "what it trusts"
        )
    return None


def _vhost_refused(address: RabbitAddress) -> UsageError:
    return UsageError(
        f"broker {address}: there is no virtual host {address.vhost!r}, or user {address.user!r} may not "
        "use it; create it with rabbitmqctl add_vhost and set_permissions, or correct the URL"
    )


def _refused(code: int, text: str, address: RabbitAddress) -> UsageError | None:
    if code == ACCESS_REFUSED:
        return UsageError(
            f"broker {address}: user {address.user!r} lacks a permission ({_plain(text)}); {GIVE_PERMISSIONS}"
        )
    if code == PRECONDITION_FAILED and (found := _DIFFERENCE.search(text)):
        argument, kind, name, values = found.groups()
        # rabbitmqctl deletes queues, but no exchanges.
        deleting = (
            f"rabbitmqctl -p {address.vhost} delete_queue {name}"
            if kind == "queue"
            else f"on the page {address.management}/#/exchanges"
        )
        return UsageError(
            f"broker {address}: {kind} {name} exists with another {argument} ({_plain(values)}); drain it, "
            f"delete it ({deleting}) and start again, which declares it again"
        )
    return None


def _plain(text: str) -> str:
    return " ".join(text.split())


def _line(error: BaseException) -> str:
    if isinstance(error, pika_errors.ConnectionClosed | pika_errors.ChannelClosed):
        return f"{error.reply_code} {_plain(error.reply_text)}"
    if isinstance(error, TimeoutError) and not error.args:
        return "no answer in time"
    return f"{type(error).__name__}: {_plain(str(error))}"
