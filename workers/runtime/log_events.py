"""Log records as lines of JSON, which a parent process reads to learn the state of its children."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass

FORMAT_VARIABLE = "_PANOPTICON_LOG_FORMAT"
"""Environment variable that a parent sets for its children. Its name begins with an underscore because every
variable that begins with `PANOPTICON_` is a setting."""

JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One record that a program logged."""

    name: str
    """The program: a model version such as `tagger@1`, or `indexer`."""
    level: int
    """A level of the module `logging`."""
    message: str
    """With the traceback of an exception, where one was logged."""
    parked: bool | None = None
    """True if the program parked, False if it resumed, None if the record is about something else."""


class JsonFormatter(logging.Formatter):
    """Writes each record as a `LogEvent` in one line of JSON.

    A caller reports that it parked or resumed with `extra={"parked": True}` or `extra={"parked": False}`.
    """

    def __init__(self, *, name: str) -> None:
        super().__init__("%(message)s")
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        event = LogEvent(
            name=self._name,
            level=record.levelno,
            message=super().format(record),
            parked=getattr(record, "parked", None),
        )
        return json.dumps(asdict(event))


def parse_log_event(line: str) -> LogEvent | None:
    """Return the event, or None for a line that a library or the interpreter wrote."""
    try:
        event = LogEvent(**json.loads(line))
    except (ValueError, TypeError):
        return None
    # A library may log JSON of its own with the same keys.
    is_ours = isinstance(event.name, str) and isinstance(event.level, int) and isinstance(event.message, str)
    return event if is_ours else None
