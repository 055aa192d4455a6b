"""The shortest pauses before the next look, in seconds; what waits longer names its own where it waits."""

from __future__ import annotations

AT_ONCE = 0.02
"""Before a look that nothing but time is the reason for."""
SOON = 0.03
"""Before a look at what has surely been decided, and is about to be said."""
FAST = 0.1
"""Between looks at what is in progress, and before the step that follows a written intent."""
WOKEN = 1.0
"""Between looks at what wakes whoever waits for it, should that fail."""


def while_going_on(seconds: float) -> float:
    """Between looks at what has been in progress for so long, and may go on for long: a tenth of that, at most a second."""
    return min(max(seconds / 10, FAST), 1.0)
