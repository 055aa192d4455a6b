"""What is seen outside, as values: the cluster, the job, and how far each thing is that was set going.

Made by the observer (runtime), read by the decisions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from flinkjob.api.sync import RestoredCopy
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.flinkmodel import JobOverview, RunRequest
from flinkjob.core.identity import Mark
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.jobgraph import Topology
from flinkjob.core.program import Recipe, ScriptPart
from flinkjob.core.progress import Progress


class Presence(StrEnum):
    """Whether the cluster has the job. UNKNOWN is not absent: the question got no definite answer."""

    PRESENT = "Present"
    ABSENT = "Absent"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True)
class ClusterSeen:
    """The cluster at one address, as of the last answer.

    Attributes:
        unreachable_for: seconds, 0 while it answers.
        several_managers: an earlier JobManager process answered again: two of them share the address.
    """

    url: str
    reachable: bool
    error: str = ""
    unreachable_for: float = 0.0
    incarnation: str | None = None
    high_availability: bool = False
    flink_version: str | None = None
    refresh_interval: float = 3.0
    savepoint_directory: str | None = None
    checkpoint_directory: str | None = None
    intercepts_exit: bool = False
    allows_submission: bool = True
    keeps_uploads: bool = True
    upload_directory: str = ""
    several_managers: bool = False

    def directory_for(self, wanted: str | None) -> str | None:
        """The base directory of a savepoint: the one asked for, else the cluster's own; None when there is neither."""
        return wanted or self.savepoint_directory


NO_ANSWER_AFTER = 30.0
"""Seconds after the end of a job at which a savepoint in progress counts as one that Flink has forgotten."""


@dataclass(frozen=True, kw_only=True)
class JobSeen:
    """The Flink job of the current submission.

    Attributes:
        absent_for: seconds since "not found" was first answered by the incarnation that answers now; 0 the first time.
        terminal_for: seconds since the job was first seen in a terminal state by this operator process.
        steady_for: seconds since when all its tasks run and nothing of it changed, as far as this process saw; 0 while not.
        short_for: seconds since when not all its tasks run, as far as this process saw; 0 while they do.
        failures: what made Flink restart it, as far as that was worth a read.
    """

    presence: Presence = Presence.UNKNOWN
    overview: JobOverview | None = None
    absent_for: float = 0.0
    terminal_for: float = 0.0
    steady_for: float = 0.0
    short_for: float = 0.0
    failures: JobFailures | None = None

    @property
    def answers_no_more(self) -> bool:
        """Whether a savepoint whose result is still in progress will have none: the job ended too long ago.

        Flink drops the promise of a savepoint that meets the end of its job in a wrong moment (seen with 1.20.5).
        """
        ended = self.overview is not None and self.overview.state.is_terminal
        return ended and self.terminal_for >= NO_ANSWER_AFTER


@dataclass(frozen=True)
class TextPlace:
    """A key of a ConfigMap of the FlinkJob's namespace; without a key: all that it has, each with its own place.

    Attributes:
        binary: what stands for the text is the SHA-256 of what `binaryData` has there.
    """

    name: str
    key: str = ""
    binary: bool = False

    def __str__(self) -> str:
        return f"ConfigMap {self.name}, key {self.key}"


@dataclass(frozen=True, kw_only=True)
class TextsSeen:
    """Texts in ConfigMaps; `problem`: why not all of them can be had, else ""."""

    texts: Mapping[TextPlace, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class VariablesSeen:
    """Values of variables; `problem`: why not all of them can be had, else "".

    Attributes:
        secret: the names of those that are of Secrets.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: frozenset[str] = frozenset()
    problem: str = ""


class ArtifactPhase(StrEnum):
    """How far the jar is on its way to the cluster."""

    WORKING = "Working"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class ArtifactRequest:
    """A jar wanted on a cluster. `digest` pins the content (given by the user, or recorded with an earlier run).

    Attributes:
        recipe: what it is made of.
        uploads: files that are wanted beside it, each known by its content.
        run: the digest of the run that wants it: another run without a pinned content wants what the address gives then.
    """

    url: str
    recipe: Recipe
    digest: str | None
    uploads: tuple[ScriptPart, ...] = ()
    run: str = ""
    attempt: int = 0


@dataclass(frozen=True, kw_only=True)
class ArtifactSeen:
    """Outcome of an `ArtifactRequest`.

    Attributes:
        permanent: a failure that is not tried again automatically.
        other_content: the address gives another content than the digest asked for.
        note: what a person should know of the jar, or "".
        places: of the jar, and of what was uploaded beside it, on the JobManager, where the program must be given them. They
            are not kept: another JobManager has other ones.
        progress: of the file that is being fetched, or uploaded.
    """

    phase: ArtifactPhase
    digest: str | None = None
    jar_id: str | None = None
    places: tuple[str, ...] = ()
    message: str = ""
    permanent: bool = False
    other_content: bool = False
    note: str = ""
    progress: Progress | None = None


class RunPhase(StrEnum):
    """What this process knows of its run call."""

    NONE = "None"
    WORKING = "Working"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNCLEAR = "Unclear"


@dataclass(frozen=True, kw_only=True)
class RunSeen:
    """Outcome of the run call for one job id and attempt; UNCLEAR says nothing about the job.

    Attributes:
        queued: it is not sent yet, since as many calls are under way as may be.
    """

    phase: RunPhase = RunPhase.NONE
    queued: bool = False
    rejection: SubmitRejection | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class MarkedJob:
    """A job on the cluster with this FlinkJob's id prefix, and the owner mark that it carries (if it could be read)."""

    overview: JobOverview
    mark: Mark | None


@dataclass(frozen=True, kw_only=True)
class JobGraphRequest:
    """A jar on a cluster whose job graph is to be compiled, without running it."""

    url: str
    jar_id: str
    request: RunRequest

    @property
    def digest(self) -> str:
        """Another one for every other request; the request itself is large and has secrets."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class JobGraphPhase(StrEnum):
    """How far the compilation of a job graph is."""

    WORKING = "Working"
    COMPILED = "Compiled"
    REFUSED = "Refused"
    UNCLEAR = "Unclear"


@dataclass(frozen=True, kw_only=True)
class JobGraphSeen:
    """Outcome of a `JobGraphRequest`."""

    phase: JobGraphPhase
    message: str = ""
    topology: Topology | None = None


class DisposalPhase(StrEnum):
    """How far the disposal of a snapshot's data is."""

    WORKING = "Working"
    DONE = "Done"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class DisposalSeen:
    """Outcome of a disposal; a snapshot that is gone already is DONE."""

    phase: DisposalPhase
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundSnapshot:
    """A complete snapshot found in a directory; `number` is its checkpoint id, None for a savepoint."""

    location: str
    number: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The complete snapshots in a directory, newest first; unreadable is not empty."""

    readable: bool
    found: tuple[FoundSnapshot, ...] = ()


class CopySearch(StrEnum):
    """How far the search for a copy in an object store is."""

    WORKING = "Working"
    FOUND = "Found"
    NONE = "None"


@dataclass(frozen=True, kw_only=True)
class CopyFound:
    """Outcome of a search for a copy: the first place that has a complete one.

    Attributes:
        location: of the copy, as Flink is to be given it.
        message: why places before it, or all of them, were passed over.
    """

    phase: CopySearch
    location: str = ""
    copy: RestoredCopy | None = None
    message: str = ""
