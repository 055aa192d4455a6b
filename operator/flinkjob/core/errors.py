"""The one tree of errors; every layer raises these and nothing of its own.

    FlinkJobError                 one line, at most 512 characters, no userinfo or query of a URL in it
    ├── Transient                 not known or not now: try again later; says nothing about a job
    │   └── Unreachable           no usable answer: refused, time-out, cut, 401, 503, a redirect, HTML instead of JSON
    ├── Rejected                  the peer understood and said a definite no
    │   ├── SubmitRejected        `POST /jars/:id/run` or `/plan`; a job may exist all the same, so look for it
    │   └── RescaleUnsupported    the job's scheduler cannot change its parallelism in place
    └── Invalid                   what the user gave cannot be used

Used by: every layer. Invariant: a message is safe to show in a status, an Event or a log.
"""

import re
from enum import StrEnum

MESSAGE_LIMIT = 512
"""The longest message, in characters."""

FOREIGN_LIMIT = 16 * 1024
"""So much of a foreign text is looked at, in characters, where one line of it is shown."""

TRACE_LIMIT = 64 * 1024
"""So much of a foreign stack trace is looked at, in characters."""

_WORD = re.compile(r"[^\s\"'<>]+")
_SLASHES = re.compile(r"(?<=http|ttps):/+", re.IGNORECASE)
"""`://`, and what it becomes where a URL is joined to another one like a path."""
_QUERY = re.compile(r"[?#]")
_AFTER_HOST = re.compile(r"[/?#]")


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Fold white space, show what has no shape, and cut at `limit` characters, an ellipsis marking the cut."""
    folded = visible(" ".join(clip(text, FOREIGN_LIMIT).split()))
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


def with_steps(message: str, steps: str, least: int = 128) -> str:
    """One line of what is wrong, then what a person can do, which is never cut; `least` characters of the cause stay."""
    room = max(MESSAGE_LIMIT - len(steps) - 2, least)
    return f"{one_line(message, room)}; {steps}"


def visible(text: str) -> str:
    """The text with its control and formatting characters spelled out (`\\x1b`, `\\u202e`).

    A terminal, a browser or an editor would obey them: colours and cursors that hide a line, directions that swap its parts.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def clip(text: str, limit: int) -> str:
    """The first `limit` characters of a foreign text, without the word that they cut: it may be half of a secret."""
    if len(text) <= limit:
        return text
    kept = text[:limit]
    words = kept.rstrip()
    if len(words) < len(kept) or text[limit].isspace():
        return kept
    start = len(kept) - len(kept.split()[-1])
    return kept if start == 0 and "://" not in kept else kept[:start]


def clip_middle(text: str, limit: int) -> str:
    """The first and the last half of `limit` characters: in a stack trace what began it, and what is at its root."""
    if len(text) <= limit:
        return text
    half = limit // 2
    tail = text[-half:]
    end = tail.partition("\n")[2] or tail.partition(" ")[2]
    return f"{clip(text, half)}\n{end}"


def redact_urls(text: str) -> str:
    """Take userinfo, query and fragment out of every URL in a text: that is where secrets are."""
    return _WORD.sub(lambda match: _redact(match.group()), text) if ":/" in text else text


def _redact(word: str) -> str:
    """A word without the secrets of the URLs in it."""
    scheme, *others = _SLASHES.sub("://", word).split("://")
    if not others:
        return word
    return f"{scheme}://" + _QUERY.split("://".join(map(_without_userinfo, others)), maxsplit=1)[0]


def _without_userinfo(rest: str) -> str:
    """What follows `://`."""
    found = _AFTER_HOST.search(rest)
    end = found.start() if found is not None else len(rest)
    return rest[rest.rfind("@", 0, end) + 1 :]


class FlinkJobError(Exception):
    """Base of all errors; `message` is one line fit for a person."""

    def __init__(self, message: str) -> None:
        self.message = one_line(redact_urls(clip(message, FOREIGN_LIMIT)))
        super().__init__(self.message)


class Transient(FlinkJobError):
    """It did not work now, or it is not known whether it worked.

    Attributes:
        reason: one lower-case word or words joined by "-", for metrics ("timeout", "server-error").
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unreachable(Transient):
    """The peer gave no usable answer; a call with an effect may have had it.

    Attributes:
        reached: False only where the request surely never reached the peer (refused, unknown host, TLS refused).
    """

    def __init__(self, reason: str, message: str, *, reached: bool = True) -> None:
        super().__init__(reason, message)
        self.reached = reached


class Rejected(FlinkJobError):
    """The peer understood the request and refused it.

    Attributes:
        code: HTTP status.
        permanent: True where repeating the same request cannot help.
    """

    def __init__(self, code: int, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent


class SubmitRejection(StrEnum):
    """Why Flink refused to run or compile a program."""

    DUPLICATE = "Duplicate"
    """The job id was used before on this JobManager."""
    JAR_NOT_FOUND = "JarNotFound"
    """The jar is not (any more) on the cluster."""
    ENTRY_CLASS = "EntryClass"
    """No such class, no `main`, or none named in the manifest."""
    NOT_A_JAR = "NotAJar"
    MAIN_THREW = "MainThrew"
    NO_JOB = "NoJob"
    """main() returned without `execute()`."""
    MULTIPLE_JOBS = "MultipleJobs"
    """main() called `execute()` twice; the first job is running."""
    EXIT = "Exit"
    """main() called `System.exit` and the cluster intercepts it, or a Python program ended with an exit code."""
    RESTORE_FAILED = "RestoreFailed"
    """The job could not be started from its snapshot; its id is used up by a FAILED job, which says why."""
    JOB_FAILED = "JobFailed"
    """The job failed before any of its tasks was deployed; its id is used up by a FAILED job, which says why."""
    SCRIPT = "Script"
    """A statement of a SQL script cannot be executed, or may not be in it; what it names, such as a catalog, may be down."""
    PYTHON_MISSING = "PythonMissing"
    """The JobManager has no Python where it is looked for."""
    PYFLINK_MISSING = "PyflinkMissing"
    """The JobManager's Python has no PyFlink."""
    PYTHON_BUSY = "PythonBusy"
    """The JobManager has begun with another program while this one, in Python, began."""
    PYTHON_MODULE = "PythonModule"
    """The JobManager's Python lacks a module that a Python program imports."""
    JVM_OPTIONS = "JvmOptions"
    """The cluster's Java may not look into its own classes as Flink's planner must."""
    CONFIG = "Config"
    """A value of the Flink configuration or of the request cannot be parsed."""
    OTHER = "Other"

    @property
    def permanent(self) -> bool:
        """True where only another spec, artifact or cluster can help."""
        return self in _PERMANENT

    @property
    def leaves_job(self) -> bool:
        """True where a job exists under the id all the same, or did."""
        return self in _LEAVES_JOB


_LEAVES_JOB = frozenset(
    {
        SubmitRejection.DUPLICATE,
        SubmitRejection.MULTIPLE_JOBS,
        SubmitRejection.RESTORE_FAILED,
        SubmitRejection.JOB_FAILED,
    }
)
_PERMANENT = frozenset(
    {
        SubmitRejection.ENTRY_CLASS,
        SubmitRejection.NOT_A_JAR,
        SubmitRejection.NO_JOB,
        SubmitRejection.MULTIPLE_JOBS,
        SubmitRejection.EXIT,
        SubmitRejection.RESTORE_FAILED,
        SubmitRejection.PYTHON_MISSING,
        SubmitRejection.PYFLINK_MISSING,
        SubmitRejection.PYTHON_MODULE,
        SubmitRejection.JVM_OPTIONS,
        SubmitRejection.CONFIG,
    }
)


class SavepointFailure(StrEnum):
    """Why a savepoint failed, as far as it matters for another attempt."""

    OTHER = "OTHER"
    """Another attempt may succeed."""
    PERMANENT = "PERMANENT"
    """Every attempt fails, whatever the job does: the directory cannot be written."""
    NOT_STREAMING = "NOT_STREAMING"
    """Every attempt fails, and there is nothing to save: the job is bounded, a batch job."""
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    """Flink does not know the job any more."""

    @property
    def repeats(self) -> bool:
        """True when every further attempt fails as well."""
        return self in (SavepointFailure.PERMANENT, SavepointFailure.NOT_STREAMING)


class RestoreFailure(StrEnum):
    """Why a job could not be started from its snapshot."""

    MISSING = "MISSING"
    """There is no such directory, or no `_metadata` in it."""
    DAMAGED = "DAMAGED"
    """Its `_metadata` cannot be read."""
    FILES_GONE = "FILES_GONE"
    """Files that it refers to are gone."""
    NOT_MAPPED = "NOT_MAPPED"
    """It holds state of operators that the program does not have."""
    INCOMPATIBLE = "INCOMPATIBLE"
    """Its state does not fit the program: another max parallelism, or other types."""
    OTHER_BACKEND = "OTHER_BACKEND"
    """It was made by a state backend that the program does not use."""
    NO_FILE_SYSTEM = "NO_FILE_SYSTEM"
    """The cluster has no file system for its place."""
    UNREACHABLE = "UNREACHABLE"
    """Its store did not answer."""
    OTHER = "OTHER"
    """Another reason; it may go away."""

    @property
    def permanent(self) -> bool:
        """True when every further attempt with the same program and snapshot fails as well."""
        return self not in (RestoreFailure.UNREACHABLE, RestoreFailure.OTHER)


class SubmitRejected(Rejected):
    """Flink refused a submission; `kind` says why. The job may exist under its id nevertheless: look for it."""

    def __init__(self, code: int, kind: SubmitRejection, message: str) -> None:
        super().__init__(code, message, permanent=kind.permanent)
        self.kind = kind


class RescaleUnsupported(Rejected):
    """The scheduler of the job cannot change its parallelism without a restart of the job."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message, permanent=True)


class Invalid(FlinkJobError):
    """What the user gave cannot be used; nothing helps but to change it."""
