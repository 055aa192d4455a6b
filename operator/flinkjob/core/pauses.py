"""The shortest pauses before the next look, in seconds; what waits longer names its own where it waits."""

from __future__ import annotations

AT_ONCE = 0.02
"""Before a look that nothing but time is the reason for."""
FAST = 0.1
"""Between looks at what is in progress, and before the step that follows a written intent."""
