"""For how long the outcome of a long call counts, and the answer to one is waited for.

Asked by `runtime.tasks`, which makes the calls. Ages are seconds since the end of a call; None: it goes on.
"""

from __future__ import annotations

from typing import Final

from flinkjob.core.seen import ArtifactPhase, ArtifactRequest, ArtifactSeen, JobGraphPhase, JobGraphSeen

READY_FOR: Final = 60.0
"""Seconds for which an uploaded jar is believed to be still on the cluster."""
FAILED_FOR: Final = 300.0
"""Seconds after which a permanent failure is looked at again: the world may have changed."""
UNCLEAR_FOR: Final = 1.0
"""Seconds after which a program is compiled again whose compilation had no clear end."""
RUN_PATIENCE: Final = (600.0, 14400.0)
"""Seconds for which the answer to a run call is waited for, at first and at most: main() may run for minutes, but a request
that was lost on the way is never answered. Repeating it is harmless, since it carries the same job id."""
_KEPT: Final = {JobGraphPhase.COMPILED: READY_FOR, JobGraphPhase.REFUSED: FAILED_FOR}


def still_brings(asked: ArtifactRequest, seen: ArtifactSeen | None, age: float | None, wanted: ArtifactRequest) -> bool:
    """Whether what was brought to the cluster, or is on its way, is what is wanted now."""
    if (asked.url, asked.recipe, asked.uploads) != (wanted.url, wanted.recipe, wanted.uploads):
        return False
    same = asked.run == wanted.run or wanted.digest is not None
    if seen is None or age is None:
        return asked.digest == wanted.digest and same
    if seen.phase is ArtifactPhase.READY:
        return age < READY_FOR and wanted.digest in (None, asked.digest, seen.digest) and same
    return asked == wanted and age < FAILED_FOR


def is_outdated(seen: JobGraphSeen | None, age: float | None) -> bool:
    """Whether a program is to be compiled again: after a refusal in a while, after an unclear end soon."""
    return seen is not None and age is not None and age > _KEPT.get(seen.phase, UNCLEAR_FOR)


def patience(attempt: int) -> float:
    """Three attempts for lost requests; then ever longer, since each repeat of a main() that never ends costs a thread."""
    first, most = RUN_PATIENCE
    return float(min(first * 2 ** min(max(attempt - 2, 0), 8), most))
