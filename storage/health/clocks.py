"""Comparison of this machine's clock with those of servers."""

from __future__ import annotations

from panopticon.interfaces import Finding
from storage.health.findings import fail, ok, warn

SKEW_WARN_S = 5.0
SKEW_FAIL_S = 60.0
ADVICE = "synchronise the clocks: timedatectl set-ntp true, on this machine and on that"


def compared(server: str, *, ours_s: float, theirs_s: float) -> Finding:
    """Compare two clocks, both in Unix seconds.

    Some servers report whole seconds, so a difference of one second is ignored.
    """
    check, apart_s = f"clock: {server}", max(abs(ours_s - theirs_s) - 1, 0.0)
    if apart_s <= SKEW_WARN_S:
        return ok(check, "as ours")
    word = "ahead of" if ours_s > theirs_s else "behind"
    return (fail if apart_s > SKEW_FAIL_S else warn)(check, f"ours is {apart_s:.0f} s {word} it", ADVICE)
