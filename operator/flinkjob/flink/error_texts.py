"""Reads Flink's error texts: root cause, kind of a refused submission, "not found" in its many spellings.

Used by: the client's parts. Source: answers of Flink 1.20 to 2.3 (`tests/data/flink`). Invariant: what is not surely
one of Flink's own words is never taken for a statement about a job (a proxy's 404 is no "job not found").
"""

import re
from collections.abc import Sequence

from flinkjob.core.errors import SavepointFailure, SubmitRejection, one_line, redact_urls

_CAUSE = re.compile(r"^\s*Caused by: (.*)$", re.MULTILINE)
_STACK_LINE = re.compile(r"^\s*(at |\.\.\. \d+ (more|common frames)|Suppressed: )")
_END = re.compile(r"^(End of exception on server side>?|\s*>)$")
_CLASS = re.compile(r"^(?:[a-z_][\w$]*\.)+(?:\w+\$)*([A-Z]\w*(?:Exception|Error|Throwable))(?=:|$)")
_TELLING = re.compile(
    r"Could not parse value '[^'\n]*' for key '[^'\n]*'\.?|Could not find a file system implementation for scheme '[^\n]*"
    r"|Cannot parse JobID from \"[^\n]*?\.(?= )"
)
_WRAPPERS = ("Internal server error.",)

_JOB_NOT_FOUND = re.compile(
    r"FlinkJobNotFoundException|Could not find Flink job|Job could not be found"
    r"|(?:^|NotFoundException: )Job [0-9a-f]{32} not found"
)
_OPERATION_NOT_FOUND = re.compile(
    r"There is no \w+ operation with triggerId=|UnknownOperationKey|[Oo]peration not found under key"
)
_CHECKPOINTING_OFF = re.compile(r"Checkpointing (?:is|was|has) not (?:been )?enabled")
_SAVEPOINT_DESPITE_FAILURE = re.compile(r"A savepoint has been created at: ([^\s,]+)")
_MISSING_SNAPSHOT = re.compile(
    r"Cannot find (?:checkpoint or savepoint|meta data) file|Cannot find checkpoint or savepoint"
)

_CANNOT_BE_WRITTEN = (
    "Failed to create savepoint directory",
    "Mkdirs failed to create",
    "FileAlreadyExistsException",
    "AccessDeniedException",
    "NotDirectoryException",
    "Not a directory",
    "Permission denied",
    "Read-only file system",
    "UnsupportedFileSystemScheme",
    "Could not find a file system implementation",
)
_NOT_STREAMING = ("is not a streaming job", "Blocking output edge exists in running tasks")
_CANNOT_RESTORE = (
    "Cannot map checkpoint/savepoint state",
    "Failed to rollback to checkpoint/savepoint",
    "Cannot find checkpoint or savepoint",
    "Could not find a file system implementation",
    "cannot be mapped to the new program",
)

_SUBMIT: tuple[tuple[SubmitRejection, re.Pattern[str]], ...] = (
    (SubmitRejection.DUPLICATE, re.compile(r"Duplicate(?:Job|Application)SubmissionException")),
    (SubmitRejection.EXIT, re.compile(r"UserSystemExitException")),
    (SubmitRejection.MULTIPLE_JOBS, re.compile(r"Cannot have more than (?:1|one) ")),
    (SubmitRejection.NO_JOB, re.compile(r"No jobs included in application|does not contain (?:a )?Flink job")),
    (
        SubmitRejection.RESTORE_FAILED,
        re.compile(
            r"Cannot find checkpoint or savepoint|Cannot find meta data file|Failed to rollback to checkpoint"
            r"|Cannot map checkpoint/savepoint state|Could not (?:load|read) (?:checkpoint|savepoint)"
            r"|cannot be restored|Could not find a file system implementation for scheme"
        ),
    ),
    (SubmitRejection.JAR_NOT_FOUND, re.compile(r"Jar file .* does not exist")),
    (
        SubmitRejection.NOT_A_JAR,
        re.compile(r"Error while opening jar file|Could not open the JAR|zip END header not found|ZipException"),
    ),
    (
        SubmitRejection.ENTRY_CLASS,
        re.compile(
            r"entry point class|does not have a main\(String\[\]\)|declares no public static main"
            r"|Neither a 'Main-Class'|main method of .* not"
        ),
    ),
    (
        SubmitRejection.CONFIG,
        re.compile(
            r"Could not parse value|did not match expected format|Cannot parse JobID|Parallelism must be"
            r"|Checkpoint interval must be|Failed to parse|IllegalConfigurationException"
        ),
    ),
)
_MAIN_THREW = re.compile(r"The main method caused an error")
_FLINK_SPOKE = re.compile(
    r"Failed to execute job '|Duplicate(?:Job|Application)SubmissionException|UserSystemExitException"
    r"|Cannot have more than (?:1|one) |Could not parse value '|Parallelism must be at least one, or ExecutionConfig"
    r"|Checkpoint interval must be larger than"
)


def root_cause(*texts: str) -> str:
    """The innermost cause in Flink's error texts, one line, without secrets of URLs.

    Where Flink names the option or the file system that it cannot use, that is said instead: the innermost cause is
    about a number, or about Hadoop.

    Args:
        texts: the elements of `errors[]`, or one stack trace. The last one that says something is looked at; in it the
            last `Caused by:`, or its first line.
    """
    return one_line(_innermost(*texts))


def _innermost(*texts: str) -> str:
    """The root cause in its full length."""
    best = ""
    for text in texts:
        if text.strip() and text.strip() not in _WRAPPERS:
            best = text
    telling = _TELLING.search(best)
    if telling:
        return redact_urls(telling.group())
    found = list(_CAUSE.finditer(best))
    tail = best[found[-1].start(1) :] if found else best.lstrip("< \n").removeprefix("Exception on server side:")
    return redact_urls(_shorten(_message_lines(tail)))


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
    if _MAIN_THREW.search(text) and not _FLINK_SPOKE.search(text):
        return SubmitRejection.MAIN_THREW
    for kind, pattern in _SUBMIT:
        if pattern.search(text):
            return kind
    return SubmitRejection.OTHER


def is_job_not_found(texts: Sequence[str]) -> bool:
    """True when Flink itself says that it does not know the job."""
    return any(_JOB_NOT_FOUND.search(text) for text in texts)


def is_operation_not_found(texts: Sequence[str]) -> bool:
    """True when Flink itself says that it does not know the trigger id."""
    return any(_OPERATION_NOT_FOUND.search(text) for text in texts)


def is_checkpointing_off(texts: Sequence[str]) -> bool:
    """True when there are no statistics because the job never checkpoints."""
    return any(_CHECKPOINTING_OFF.search(text) for text in texts)


def is_rescale_unsupported(texts: Sequence[str]) -> bool:
    """True when the scheduler of the job cannot rescale it."""
    return any("does not support changing the parallelism" in text for text in texts)


def savepoint_failure(stacktrace: str) -> SavepointFailure:
    """What the failure of a savepoint, by its stack trace, means for another attempt."""
    cause = _innermost(stacktrace)
    if "Could not find Flink job" in cause:
        return SavepointFailure.JOB_NOT_FOUND
    if any(words in cause for words in _NOT_STREAMING):
        return SavepointFailure.NOT_STREAMING
    if any(words in cause for words in _CANNOT_BE_WRITTEN):
        return SavepointFailure.PERMANENT
    return SavepointFailure.OTHER


def is_restore_failure(stacktrace: str) -> bool:
    """True when a job failed because its snapshot is missing or does not fit the program."""
    cause = _innermost(stacktrace)
    return any(words in cause for words in _CANNOT_RESTORE)


def is_snapshot_missing(text: str) -> bool:
    """True when the cause of a failed disposal is that there is nothing to dispose of."""
    return _MISSING_SNAPSHOT.search(text) is not None


def savepoint_despite_failure(text: str) -> str | None:
    """The savepoint that a failed stop says it has made."""
    match = _SAVEPOINT_DESPITE_FAILURE.search(text)
    return match.group(1) if match else None
