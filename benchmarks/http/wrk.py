"""A closed loop by wrk: each client sends its next picture when it has the answer to the last one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http.requests import Target

_SCRIPT = """
local pictures = {%(files)s}
local requests, turn = {}, 0
function init(args)
  for number, path in ipairs(pictures) do
    local file = assert(io.open(path, "rb"))
    requests[number] = wrk.format("POST", nil, {["Content-Type"] = "%(content_type)s"}, file:read("*a"))
    file:close()
  end
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nFIGURES {"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p90_ms": %%f, "p99_ms": %%f, '
    .. '"max_ms": %%f, "not_2xx": %%d, "socket_errors": %%d, "timeouts": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """Figures of one run of wrk."""

    requests: int
    seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    not_2xx: int
    socket_errors: int
    timeouts: int

    @property
    def images_per_s(self) -> float:
        """The rate of pictures that were answered with a status of success."""
        return (self.requests - self.not_2xx) / self.seconds


class Wrk:
    """The program, with the script that sends these pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("wrk") is not None

    def run(
        self,
        target: Target,
        pictures: Sequence[bytes],
        *,
        clients: int,
        seconds: float,
        prefix: Sequence[str] = (),
    ) -> ClosedLoop:
        """Run for at least this time, rounded up to whole seconds. `prefix`: words before the command."""
        script = self._script(target, pictures)
        command = [*prefix, "wrk", "-t1", f"-c{clients}", f"-d{max(round(seconds), 1)}s", "--timeout=30s"]
        ended = subprocess.run(
            [*command, "-s", str(script), target.url], capture_output=True, text=True, check=False
        )
        line = next((line for line in ended.stdout.splitlines() if line.startswith("FIGURES ")), None)
        if line is None:
            raise RuntimeError(f"wrk printed no figures: {ended.stdout[-500:]} {ended.stderr[-500:]}")
        return ClosedLoop(**json.loads(line.removeprefix("FIGURES ")))

    def _script(self, target: Target, pictures: Sequence[bytes]) -> Path:
        bodies = self._folder / target.upload
        bodies.mkdir(exist_ok=True)
        files = [bodies / f"{number}.body" for number in range(len(pictures))]
        for file, picture in zip(files, pictures, strict=True):
            file.write_bytes(target.body(picture))
        script = self._folder / f"{target.upload}.lua"
        listed = ", ".join(json.dumps(str(file)) for file in files)
        script.write_text(_SCRIPT % {"files": listed, "content_type": target.content_type})
        return script
