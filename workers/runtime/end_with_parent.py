"""Starting programs of ours as child processes that end when their parent has ended, however it ended.

A parent that is killed cannot end its children. So each child is started through this module, which runs the
child's own module after two preparations:

- It inherits the read end of a pipe. Only the parent holds the other end, so that end of file means that the
  parent has ended. This works on every system.
- On Linux it asks the kernel for SIGTERM at that moment, which also ends a child whose threads are stuck in
  native code. The kernel sends it when the thread that started the child ends, so only the main thread, whose
  end is the end of the process, makes use of it.

A child that handles SIGTERM drains; after `DRAIN_S` it is killed.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

DRAIN_S = 3.0
"""Seconds in which a child whose parent has ended may finish its work."""

_CODE = str(Path(__file__).parents[2])
_PR_SET_PDEATHSIG = 1
_NOBODY = 0


def start_child(
    module: str,
    arguments: Sequence[str],
    *,
    python: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start `python -m module arguments…` as a child that ends with this process.

    `python`: another interpreter, with packages of its own. Raises: OSError if it cannot be started.
    It has a session of its own, so that a signal of the terminal reaches this process alone. `options`: those
    of `subprocess.Popen`.
    """
    pipe = _pipe_of_this_process()
    is_main = threading.current_thread() is threading.main_thread()
    parent = os.getpid() if is_main else _NOBODY
    environ = dict(os.environ if env is None else env)
    words = [__name__, str(pipe), str(parent), module, *arguments]
    if python is None:
        command = [sys.executable, "-m", *words]
        # The child imports the same code, whatever its folder is.
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_CODE, environ.get("PYTHONPATH", "")]))
    else:
        command = [str(python), str(Path(__file__).with_name("our_code.py")), *words]
    return subprocess.Popen(
        command, env=environ, pass_fds=[*pass_fds, pipe], start_new_session=True, **options
    )


def run_child(
    module: str, arguments: Sequence[str], *, python: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments…` to its end and return its exit status and its two outputs."""
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    with start_child(
        module, arguments, python=python, text=True, stdin=nothing, stdout=pipe, stderr=pipe
    ) as child:
        try:
            out, err = child.communicate()
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


@cache
def _pipe_of_this_process() -> int:
    """Return the end that children inherit. This process alone keeps the other end open, until it ends."""
    for_children, _ = os.pipe()
    return for_children


def _end_with(parent: int, pipe: int) -> None:
    """Prepare this process to end when its parent has ended. `parent`: its ID, or `_NOBODY`."""
    os.set_inheritable(pipe, False)
    kernel_signals = parent != _NOBODY and _ask_for_sigterm(parent)
    threading.Thread(target=_wait_and_end, args=(pipe, kernel_signals), daemon=True).start()


def _ask_for_sigterm(parent: int) -> bool:
    """Return whether the kernel will send SIGTERM when the parent ends."""
    if not sys.platform.startswith("linux"):
        return False
    asked = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) == 0
    # If the parent ended before the request, no signal comes.
    return asked and os.getppid() == parent


def _wait_and_end(pipe: int, kernel_signals: bool) -> None:
    os.read(pipe, 1)
    # A second SIGTERM would end a program that is draining.
    if not kernel_signals:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run `MODULE ARGUMENT…` as if it had been started by itself."""
    pipe, parent, module, *arguments = sys.argv[1:]
    _end_with(int(parent), int(pipe))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
