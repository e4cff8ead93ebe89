"""This machine's clock beside those of servers."""

from __future__ import annotations

from panopticon.interfaces import Finding, Health

SKEW_WARN_S = 5.0
SKEW_FAIL_S = 60.0
ADVICE = "synchronise the clocks: timedatectl set-ntp true, on this machine and on that"


def compared(whose: str, *, ours_s: float, theirs_s: float) -> Finding:
    """Both in Unix seconds. Some servers tell whole ones, so a second is no difference."""
    apart_s = max(abs(ours_s - theirs_s) - 1, 0.0)
    health = Health.FAIL if apart_s > SKEW_FAIL_S else Health.WARN if apart_s > SKEW_WARN_S else Health.OK
    word = "ahead of" if ours_s > theirs_s else "behind"
    seen = "as ours" if health is Health.OK else f"ours is {apart_s:.0f} s {word} it"
    advice = "" if health is Health.OK else ADVICE
    return Finding(check=f"clock: {whose}", health=health, seen=seen, advice=advice)
