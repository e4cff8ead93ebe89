"""Print one failure for people."""

from __future__ import annotations

from panopticon.results.outputs import Failure, FailureState
from workers.cli.formatting import counted, headed, utc, without_queries
from workers.cli.session import Session
from workers.runtime.terminal_text import printable


def print_failure(
    session: Session, failure: Failure, *, with_message: bool = False, next_step: str = ""
) -> None:
    """Print one failure as a block."""
    retries = len(session.settings.retry_delays_s)
    lines = [
        ("reason", printable(": ".join(filter(None, (failure.reason, failure.detail))))),
        (
            "attempts",
            f"{failure.attempts} of {counted(retries, 'retry delay')}, last {utc(failure.last_at_ms)} UTC",
        ),
    ]
    if failure.retry_at_ms:
        lines.append(("next try", f"{utc(failure.retry_at_ms)} UTC"))
    if with_message:
        message = without_queries(failure.message.decode("utf-8", "backslashreplace"))
        lines.append(("message", printable(message)))
    if next_step:
        lines.append(("next", next_step))
    heading = f"{failure.key.version_name} · {failure.state.value} · revision {failure.key.revision}"
    style = {FailureState.DEAD: "red", FailureState.RETRYING: "yellow"}.get(failure.state, "dim")
    session.out.print(headed(heading, lines, style=style))
