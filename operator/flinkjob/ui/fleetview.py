"""What the page of the fleet shows: those that need a person first, filtered, sorted, a part at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from flinkjob.api.codec import FlinkJob
from flinkjob.api.enums import ConditionStatus, Phase
from flinkjob.cli.fleet import condition, stalled
from flinkjob.cli.texts import NOTHING, since
from flinkjob.core.errors import visible

PAGE: Final = 100
"""Rows of a page."""
LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
NO_PHASE: Final = "Not looked at"

_GOOD: Final = (Phase.RUNNING,)
_CALM: Final = (Phase.FINISHED, Phase.SUSPENDED, Phase.CANCELLED, Phase.DRAINED)
_BAD: Final = (Phase.FAILED, Phase.HELD, Phase.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A FlinkJob in the table; all texts are as a person reads them.

    Attributes:
        needs: why a person has to do something; "" where the operator goes on alone.
        tone: good, busy, bad or calm.
        state_age: since when there is no newer state to go on from.
    """

    namespace: str
    name: str
    phase: str
    tone: str
    needs: str
    message: str
    run: str
    up: str
    parallelism: str
    state_age: str
    restarts: str
    age: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody wants to see.

    Attributes:
        phase: of these alone; "" all.
        words: only those whose namespace, name or message has each of these words.
        sort: a key of SORTS.
    """

    phase: str = ""
    words: str = ""
    sort: str = "needs"
    descending: bool = False
    page: int = 1

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Wanted:
        """What an address asks for; what it says wrongly is as if it did not."""
        page = given.get("page", "")
        sort = given.get("sort", "")
        return cls(
            phase=given.get("phase", "")[:64],
            words=given.get("words", "")[:128],
            sort=sort if sort in SORTS else "needs",
            descending=given.get("order") == "down",
            page=max(int(page), 1) if page.isascii() and page.isdecimal() and len(page) < 6 else 1,
        )

    def query(self, **other: str) -> str:
        """The same as an address has it, or with other values."""
        given = {
            "phase": self.phase,
            "words": self.words,
            "sort": self.sort,
            "order": "down" if self.descending else "",
            "page": str(self.page),
        }
        return urlencode({name: value for name, value in (given | other).items() if value})


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What the page shows.

    Attributes:
        phases: how many there are of each, and in which tone.
        needing: how many need a person.
        found: how many are wanted, of which `rows` are one page.
    """

    rows: Sequence[Row]
    phases: Sequence[tuple[str, int, str]]
    needing: int
    total: int
    found: int
    page: int
    pages: int


def fleet(jobs: Sequence[FlinkJob], wanted: Wanted, now: datetime) -> Fleet:
    """The page of these FlinkJobs that somebody wants to see."""
    counts = Counter((_phase(each), tone(each.status.phase)) for each in jobs)
    chosen = [each for each in jobs if _is_wanted(each, wanted)]
    chosen.sort(key=lambda each: (each.meta.namespace, each.meta.name))
    chosen.sort(key=SORTS[wanted.sort], reverse=wanted.descending)
    pages = max(-(-len(chosen) // PAGE), 1)
    page = min(wanted.page, pages)
    shown = chosen[(page - 1) * PAGE : page * PAGE]
    return Fleet(
        rows=[row(each, now) for each in shown],
        phases=[(word, count, kind) for (word, kind), count in sorted(counts.items())],
        needing=sum(1 for each in jobs if needs(each)),
        total=len(jobs),
        found=len(chosen),
        page=page,
        pages=pages,
    )


def row(job: FlinkJob, now: datetime) -> Row:
    """A FlinkJob in the table."""
    status, ready = job.status, condition(job, "Ready")
    run, seen = status.submission, status.job
    lives = run is not None and run.running and run.end is None
    said = ready.message if ready is not None else job.spec_error
    return Row(
        namespace=job.meta.namespace,
        name=job.meta.name,
        phase=_phase(job),
        tone="bad" if needs(job) else tone(status.phase),
        needs=visible(needs(job)),
        message=visible(said or ""),
        run=str(run.number) if run is not None else NOTHING,
        up=since(run.started_time, now) if run is not None and lives else NOTHING,
        parallelism=str(job.spec.parallelism or NOTHING) if job.spec is not None else NOTHING,
        state_age=since(newest_state(job), now),
        restarts=str(seen.restarts or 0) if seen is not None else NOTHING,
        age=since(job.meta.creation_time, now),
    )


def needs(job: FlinkJob) -> str:
    """Why a person has to do something; "" where the operator goes on alone."""
    if job.spec_error or job.status_error:
        return job.spec_error or job.status_error or ""
    found = stalled(job)
    if found is not None:
        return f"{found.reason}: {found.message}" if found.message else found.reason
    unreachable = condition(job, "ClusterReachable")
    if unreachable is not None and unreachable.status is ConditionStatus.FALSE:
        return f"{unreachable.reason}: {unreachable.message}"
    return ""


def newest_state(job: FlinkJob) -> datetime | None:
    """When the newest checkpoint or savepoint was complete."""
    known = (job.status.last_checkpoint, job.status.last_savepoint)
    return max((each.time for each in known if each is not None and each.time is not None), default=None)


def tone(phase: Phase | None) -> str:
    """The colour of a phase, in a word."""
    if phase in _GOOD:
        return "good"
    return "bad" if phase in _BAD else "calm" if phase in _CALM else "busy"


def _phase(job: FlinkJob) -> str:
    return str(job.status.phase) if job.status.phase is not None else NO_PHASE


def _is_wanted(job: FlinkJob, wanted: Wanted) -> bool:
    if wanted.phase and _phase(job) != wanted.phase:
        return False
    if not wanted.words.strip():
        return True
    ready = condition(job, "Ready")
    said = f"{job.meta.namespace}/{job.meta.name} {ready.message if ready is not None else ''} {needs(job)}".lower()
    return all(word in said for word in wanted.words.lower().split())


def _moment(time: datetime | None) -> float:
    return (time or LONG_AGO).timestamp()


def _restarts(job: FlinkJob) -> int:
    return (job.status.job.restarts or 0) if job.status.job is not None else 0


SORTS: Final[Mapping[str, Callable[[FlinkJob], tuple[str | float, ...]]]] = {
    "needs": lambda each: (0 if needs(each) else 1, {"bad": 0, "busy": 1}.get(tone(each.status.phase), 2)),
    "name": lambda each: (each.meta.name, each.meta.namespace),
    "phase": lambda each: (_phase(each),),
    "state": lambda each: (_moment(newest_state(each)),),
    "restarts": lambda each: (-_restarts(each),),
    "age": lambda each: (-_moment(each.meta.creation_time),),
}
"""By what the rows are sorted; the default has those first that need a person."""
