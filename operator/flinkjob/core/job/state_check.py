"""State that the new program has no vertex for: known from the newest checkpoint before the running job is touched.

Called by `running` once the new program is compiled. Flink names a vertex after the first operator of its chain, and restores
state by operator. So where operators have uids of their own, a vertex that is missing is no proof: its operators may be in
another chain. Where no operator of the new program has one, as in a SQL script without compiled plans, it is: Flink makes ids
of hashes over the graph up to the operator. Then the upgrade is refused, else a warning is said. Invariants: what cannot be
had holds up nothing; each spec is compared with a run once, however long the upgrade then waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flinkjob.api.enums import UpgradeStrategy
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import one_line, redact_urls, with_steps
from flinkjob.core.facts import StateSizes, VertexNames
from flinkjob.core.flinkmodel import CheckpointDetails
from flinkjob.core.job.draft import Draft, Halt, Step, wish
from flinkjob.core.jobgraph import Topology
from flinkjob.core.pauses import AT_ONCE
from flinkjob.core.units import readable_size

_COMPILED_PLAN = re.compile(r"\bPLAN\b", re.IGNORECASE)
"""Flink gives the operators of a compiled plan uids, wherever the plan comes from."""
MOST_NAMED = 3
"""So many vertices are named."""
NAME_CHARACTERS = 80
"""So much of each name; Flink joins the names of all operators of a chain."""
_LEAVE = "or set restore.allowNonRestoredState to leave that state behind"
STEPS = f"keep the uids of these operators, {_LEAVE}"
STEPS_SQL = f"go back to the script before, {_LEAVE}"
"""Nobody gives the operators of a script their uids."""


@dataclass(frozen=True, kw_only=True)
class LeftOver:
    """What a snapshot holds of vertices that a program lacks.

    Attributes:
        vertices: name and bytes of each, the largest first; never empty.
        aligned: False where it may be records on their way instead of state, which no savepoint holds.
    """

    vertices: tuple[tuple[str, int], ...]
    aligned: bool = True

    @property
    def words(self) -> str:
        """For people, without what to do."""
        named = [f"{_short(name)} ({readable_size(size)})" for name, size in self.vertices[:MOST_NAMED]]
        more = len(self.vertices) - len(named)
        what = "state" if self.aligned else "state, or records on their way,"
        return f"{what} in what the new program lacks: {', '.join(named)}{f' and {more} more' if more else ''}"


def left_over(details: CheckpointDetails, names: Mapping[str, str], graph: Topology) -> LeftOver | None:
    """What a program would leave behind of a job that has these vertices; None: nothing, or nothing to compare with.

    Vertices that the job itself lacks do not count: of a checkpoint that it has forgotten, Flink may show another job's.
    """
    found = [(names[vertex] or vertex, size) for vertex, size in _missing(details, graph) if vertex in names]
    if not found:
        return None
    return LeftOver(vertices=tuple(sorted(found, key=lambda each: (-each[1], each[0]))), aligned=details.aligned)


def find(draft: Draft, run: Submission, graph: Topology) -> LeftOver | None:
    """What the program with this job graph would leave behind of the newest completed snapshot of a run.

    The names are asked for only where some vertex is missing.
    """
    details = draft.need(StateSizes(run.flink_job_id))
    if details is None or not _missing(details, graph):
        return None
    names = draft.need(VertexNames(run.flink_job_id))
    return left_over(details, names or {}, graph)


def check(draft: Draft, spec: FlinkJobSpec, run: Submission, graph: Topology) -> Halt | None:
    """Say what the new program seems to leave behind, and halt where it certainly does; else the upgrade goes on at once."""
    if not run.running or spec.restore.allow_non_restored_state:
        return None
    if run.state_checked == wish(draft):
        return draft.stall(Reason.StateNotMapped, run.state_lost) if run.state_lost else None
    found = find(draft, run, graph)
    draft.update(state_checked=wish(draft), state_lost=None)
    if found is None:
        return None
    text = with_steps(f"run {run.number} has {found.words}", STEPS if spec.sql is None else STEPS_SQL)
    draft.event(Reason.StateNotMapped, text, warning=True)
    if not _is_certain(spec, found):
        return draft.wait(Step.PREFLIGHT, Reason.StateNotMapped, text, requeue_after=AT_ONCE)
    draft.update(state_lost=text)
    return draft.stall(Reason.StateNotMapped, text)


def _is_certain(spec: FlinkJobSpec, found: LeftOver) -> bool:
    """Whether the new run could not start: nothing has a uid, and its snapshot will hold what is left over."""
    if spec.sql is None or spec.sql.script is None or _COMPILED_PLAN.search(spec.sql.script):
        return False
    return found.aligned or spec.upgrade.strategy is UpgradeStrategy.LAST_STATE


def _missing(details: CheckpointDetails, graph: Topology) -> list[tuple[str, int]]:
    """The vertices with state that a job graph lacks; none where it names no vertices at all."""
    wanted = graph.numbers
    return [each for each in details.vertex_bytes.items() if wanted and each[1] > 0 and each[0] not in wanted]


def _short(name: str) -> str:
    return one_line(redact_urls(name), NAME_CHARACTERS)
