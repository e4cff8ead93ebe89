"""A process that dies as one does whose decoder reads memory that is not its own."""

import os
import signal

os.kill(os.getpid(), signal.SIGSEGV)
