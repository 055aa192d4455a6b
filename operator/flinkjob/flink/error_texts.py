"""Reads Flink's error texts, the only place that does: root cause, and what a failure means, as a word of `core.errors`.

Used by: the client's parts, which give it the whole text, before anything of it is cut. Source: `phrases`, and answers of
Flink 1.20 to 2.3 (`tests/data/flink`). Invariant: what is not surely one of Flink's own words is never taken for a
statement about a job (a proxy's 404 is no "job not found").
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from flinkjob.core.errors import (
    MESSAGE_LIMIT,
    TRACE_LIMIT,
    RestoreFailure,
    SavepointFailure,
    SubmitRejection,
    clip_middle,
    one_line,
    redact_urls,
    with_steps,
)
from flinkjob.flink import phrases
from flinkjob.flink.phrases import Phrase, says

_CAUSE = re.compile(r"^[ \t]*Caused by: (.*)$", re.MULTILINE)
_STACK_LINE = re.compile(r"^\s*(at |\.\.\. \d+ (more|common frames)|Suppressed: )")
_PLACE = re.compile(r"[^\s,]+")
_END = re.compile(r"^(End of exception on server side>?|\s*>)$")
_CLASS = re.compile(r"^(?:[a-z_][\w$]*\.)+(?:\w+\$)*([A-Z]\w*(?:Exception|Error|Throwable))(?=:|$)")
_TELLING = re.compile(
    rf"{phrases.OPTION_NOT_PARSED.pattern.pattern}[^'\n]*'\.?|{phrases.NO_FILE_SYSTEM[0].pattern.pattern}[^\n]*"
    rf"|{phrases.JOB_ID_NOT_PARSED.pattern.pattern}\"[^\n]{{0,300}}?\.(?= )"
    rf"|{phrases.NOT_FLINKS['no program'][0]}[^\n]{{0,300}}"
)
_FLINK = "org.apache.flink."
_CONNECTOR = f"{_FLINK}connector."
_CAUSED = "; it caused "
_LONGEST_AROUND = 200
"""Characters of an exception around the root cause."""
_CAUSES_LOOKED_AT = 8
_WRAPPERS = ("Internal server error.",)

_JOB = re.compile(f"(?:^|NotFoundException: ){phrases.THIS_JOB_NOT_FOUND.words.replace('%s', '[0-9a-f]{32}')}")
_SUBMIT: tuple[tuple[SubmitRejection, tuple[Phrase | str, ...]], ...] = (
    (SubmitRejection.DUPLICATE, phrases.DUPLICATE),
    (SubmitRejection.EXIT, (phrases.EXIT,)),
    (SubmitRejection.MULTIPLE_JOBS, phrases.MULTIPLE_JOBS),
    (SubmitRejection.NO_JOB, (phrases.NO_JOB,)),
    (SubmitRejection.JAR_NOT_FOUND, (phrases.JAR_NOT_FOUND,)),
    (SubmitRejection.NOT_A_JAR, (phrases.NOT_A_JAR, *phrases.NOT_FLINKS["no jar"])),
    (SubmitRejection.ENTRY_CLASS, phrases.ENTRY_CLASS),
    (SubmitRejection.CONFIG, phrases.CONFIG),
)
_PYTHON = re.compile(rf"{re.escape(phrases.PYTHON)}(threw|exit|module|busy|java): ")
_PYTHON_KINDS = {
    "threw": SubmitRejection.MAIN_THREW,
    "java": SubmitRejection.MAIN_THREW,
    "exit": SubmitRejection.EXIT,
    "busy": SubmitRejection.PYTHON_BUSY,
    "module": SubmitRejection.PYTHON_MODULE,
}
_OF_PYTHON = re.compile(r"^UnsuccessfulExecutionException: python-(?:busy: Busy|threw|exit|module): ")
_SAID_DURING_MAIN = (
    phrases.EXECUTE_FAILED,
    *phrases.DUPLICATE,
    phrases.EXIT,
    *phrases.MULTIPLE_JOBS,
    phrases.OPTION_NOT_PARSED,
    phrases.PARALLELISM,
    phrases.CHECKPOINT_INTERVAL,
)
"""What Flink itself says while main() runs."""


def root_cause(*texts: str) -> str:
    """The innermost cause in Flink's error texts, one line, without secrets of URLs.

    Where Flink names the option or the file system that it cannot use, or Java a program, that is said instead: the
    innermost cause is about a number, or about Hadoop.

    Args:
        texts: the elements of `errors[]`, or one stack trace. The last one that says something is looked at; in it the
            last `Caused by:`, or its first line.
    """
    return one_line(_innermost(*texts))


def failure_cause(stacktrace: str) -> str:
    """The root cause of a job's failure, and what it made fail in the program or a connector, where that says more.

    The exception that a client of another system throws seldom says what it was asked for: of a missing topic of Kafka,
    only the one around it has the name.
    """
    cause = _innermost(stacktrace)
    around = _around(cause, clip_middle(stacktrace, TRACE_LIMIT))
    if not around:
        return one_line(cause)
    around = one_line(redact_urls(around), _LONGEST_AROUND)
    return f"{one_line(cause, MESSAGE_LIMIT - len(_CAUSED) - len(around))}{_CAUSED}{around}"


def _around(cause: str, stacktrace: str) -> str:
    """The innermost exception around the root cause that Flink itself did not throw and that says something else."""
    starts = [0, *(found.start(1) for found in _CAUSE.finditer(stacktrace))]
    if _TELLING.search(stacktrace):
        return ""
    said = cause.partition(": ")[2] or cause
    for start, end in list(pairwise(starts))[: -_CAUSES_LOOKED_AT - 1 : -1]:
        text = stacktrace[start:end]
        message = _shorten(_message_lines(text))
        words = message.partition(": ")[2]
        if words and words not in cause and said not in words and not _is_flinks(text):
            return message
    return ""


def _is_flinks(text: str) -> bool:
    """Whether Flink itself has thrown an exception, by its first frame: connectors are clients of other systems."""
    frame = next((line for line in text.splitlines() if line.lstrip().startswith("at ")), _FLINK)
    return _FLINK in frame and (_CONNECTOR not in frame or f"{_CONNECTOR}base." in frame)


def _innermost(*texts: str) -> str:
    """The root cause in its full length."""
    best = ""
    for text in texts:
        text = clip_middle(text, TRACE_LIMIT)
        if text.strip() and text.strip() not in _WRAPPERS:
            best = text
    telling = _TELLING.search(best)
    if telling:
        return redact_urls(telling.group())
    found = list(_CAUSE.finditer(best))
    tail = best[found[-1].start(1) :] if found else best.lstrip("< \n").removeprefix("Exception on server side:")
    return redact_urls(_shorten(phrases.HINT_FOR_THE_COMMAND_LINE.pattern.sub("", _message_lines(tail))))


def _message_lines(text: str) -> str:
    """The lines before the first stack frame: messages may have several lines."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        if _STACK_LINE.match(line) or _END.match(line):
            break
        lines.append(line)
    return " ".join(lines)


def _shorten(message: str) -> str:
    """Cut the package off the exception's class: the class and the message are what a person needs."""
    match = _CLASS.match(message)
    while match:
        rest = message[match.end() :].lstrip(": ")
        nested = _CLASS.match(rest)
        if not nested:
            return f"{match.group(1)}: {rest}" if rest else match.group(1)
        message, match = rest, nested
    return message


def submit_rejection(texts: Sequence[str]) -> SubmitRejection:
    """Why a program was refused; OTHER when the text is not known.

    What user code throws in main() may say anything, so it is recognised by its wrapper and not searched further.
    """
    text = "\n".join(texts)
    if (of_python := _python_rejection(text)) is not None:
        return of_python
    of_script = says(text, phrases.SCRIPT)
    if of_script or (says(text, phrases.MAIN_THREW) and not says(text, *_SAID_DURING_MAIN)):
        if says(text, *phrases.NOT_FLINKS["no access"]):
            return SubmitRejection.JVM_OPTIONS
        return SubmitRejection.SCRIPT if of_script else SubmitRejection.MAIN_THREW
    if says(text, phrases.NOT_INITIALIZED):
        return SubmitRejection.JOB_FAILED if restore_failure(text) is None else SubmitRejection.RESTORE_FAILED
    for kind, words in _SUBMIT:
        if says(text, *words):
            return kind
    return SubmitRejection.OTHER


def _python_rejection(text: str) -> SubmitRejection | None:
    """Why a Python program was refused, where that is not Flink's own refusal.

    What Flink throws into the program is the cause of what the program ends with.
    """
    if (found := _PYTHON.search(text)) is not None:
        return _PYTHON_KINDS[found[1]] if found[1] != "java" or not says(text, *_SAID_DURING_MAIN) else None
    if says(text, *phrases.NOT_FLINKS["no program"]) and says(text, phrases.PYTHON_STARTED):
        return SubmitRejection.PYTHON_MISSING
    if says(text, phrases.WITHOUT_PYFLINK):
        return SubmitRejection.PYFLINK_MISSING
    return SubmitRejection.MAIN_THREW if says(text, phrases.PYTHON_EXIT_CODE) else None


def explained(kind: SubmitRejection, cause: str) -> str:
    """The cause of a refusal as a person reads it: without the class of our own, with what a cluster lacks."""
    cause = _OF_PYTHON.sub("", cause, count=1)
    match kind:
        case SubmitRejection.SCRIPT:
            return cause.removeprefix("SqlScriptException: ")
        case SubmitRejection.PYTHON_MISSING:
            return with_steps(
                cause,
                "the JobManager needs Python with PyFlink; say where by spec.python.executable, or use another image",
            )
        case SubmitRejection.PYFLINK_MISSING:
            return (
                "the JobManager's Python has no PyFlink: use an image with apache-flink of Flink's version, or say by "
                "spec.python.executable which Python has it"
            )
        case SubmitRejection.PYTHON_MODULE:
            return with_steps(
                cause,
                "add it to spec.python.files or to the cluster's image",
            )
        case SubmitRejection.JVM_OPTIONS:
            return with_steps(
                cause, "give the cluster's Java the options that Flink's own config.yaml has in env.java.opts.all"
            )
        case _:
            return cause


def is_job_not_found(texts: Sequence[str]) -> bool:
    """True when Flink itself says that it does not know the job."""
    return any(_JOB.search(text) or says(text, *phrases.JOB_NOT_FOUND) for text in texts)


def is_operation_not_found(texts: Sequence[str]) -> bool:
    """True when Flink itself says that it does not know the trigger id."""
    return any(says(text, *phrases.OPERATION_NOT_FOUND) for text in texts)


def is_checkpoint_not_found(texts: Sequence[str]) -> bool:
    """True when Flink itself says that it knows nothing (any more) of a checkpoint."""
    return any(says(text, phrases.CHECKPOINT_NOT_FOUND) for text in texts)


def is_checkpointing_off(texts: Sequence[str]) -> bool:
    """True when there are no statistics because the job never checkpoints."""
    return any(says(text, *phrases.CHECKPOINTING_OFF) for text in texts)


def is_rescale_unsupported(texts: Sequence[str]) -> bool:
    """True when the scheduler of the job cannot rescale it."""
    return any(says(text, phrases.NO_RESCALE) for text in texts)


def is_jar_not_found(texts: Sequence[str]) -> bool:
    """True when the jar that shall be deleted is not on the cluster."""
    return any(says(text, phrases.JAR_TO_DELETE_NOT_FOUND) for text in texts)


def savepoint_failure(stacktrace: str) -> SavepointFailure:
    """What the failure of a savepoint, by its stack trace, means for another attempt."""
    cause = _innermost(stacktrace)
    if says(cause, *phrases.JOB_NOT_FOUND):
        return SavepointFailure.JOB_NOT_FOUND
    if says(cause, *phrases.NOT_STREAMING):
        return SavepointFailure.NOT_STREAMING
    cannot_be_written: tuple[Phrase | str, ...] = (
        *phrases.NO_DIRECTORY_MADE,
        *phrases.NO_FILE_SYSTEM,
        *phrases.NOT_FLINKS["cannot be written"],
    )
    if says(cause, *cannot_be_written):
        return SavepointFailure.PERMANENT
    return SavepointFailure.OTHER


def restore_failure(stacktrace: str) -> RestoreFailure | None:
    """Why a job could not be started from its snapshot, by the stack trace; None where that is not what failed."""
    cause = _innermost(stacktrace)
    for kind, words in _RESTORE:
        if says(cause, *words):
            return kind
    if not says(stacktrace, *phrases.RESTORING):
        return None
    if says(cause, *phrases.NOT_FLINKS["no answer"]):
        return RestoreFailure.UNREACHABLE
    if says(stacktrace, phrases.READING_METADATA):
        return RestoreFailure.DAMAGED
    return RestoreFailure.FILES_GONE if says(cause, *phrases.NOT_FLINKS["no file"]) else RestoreFailure.OTHER


_RESTORE: tuple[tuple[RestoreFailure, tuple[Phrase, ...]], ...] = (
    (RestoreFailure.MISSING, phrases.NO_SNAPSHOT),
    (RestoreFailure.NO_FILE_SYSTEM, phrases.NO_FILE_SYSTEM),
    (RestoreFailure.DAMAGED, phrases.NO_METADATA),
    (RestoreFailure.NOT_MAPPED, (phrases.NOT_MAPPED,)),
    (RestoreFailure.INCOMPATIBLE, phrases.INCOMPATIBLE),
    (RestoreFailure.OTHER_BACKEND, (phrases.OTHER_BACKEND,)),
)


def is_not_initialized(stacktrace: str) -> bool:
    """True when a job failed before any of its tasks was deployed, in a way that time alone is not known to mend."""
    return says(stacktrace, phrases.NOT_INITIALIZED) and not says(
        _innermost(stacktrace), *phrases.NOT_FLINKS["no answer"]
    )


def is_without_slots(stacktrace: str) -> bool:
    """True when a job failed since the cluster had too few slots for it for too long."""
    return says(_innermost(stacktrace), phrases.NO_SLOTS)


def is_snapshot_missing(stacktrace: str) -> bool:
    """True when the cause of a failed disposal is that there is nothing to dispose of."""
    return says(stacktrace, *phrases.NO_SNAPSHOT)


def savepoint_despite_failure(text: str) -> str | None:
    """The savepoint that a failed stop says it has made."""
    match = phrases.SAVEPOINT_MADE.pattern.search(text)
    place = _PLACE.match(text, match.end()) if match else None
    return place.group() if place else None
