"""The words of Flink that the operator knows, each with the class that says it: the list that `error_texts` reads by.

Used by `error_texts` alone. Source: the constants of the classes in the jars of Flink 1.20 to 2.3, with which a test
compares the list. Invariant: what is not surely one of Flink's own words stands in `NOT_FLINKS`, and never alone says
anything about a job.
"""

import re
from dataclasses import dataclass, field
from typing import Final

ANYTHING: Final = "…"
"""Stands in a phrase for what Flink puts in there."""
MOST_BETWEEN: Final = 300
"""So many characters of it: without a bound a long text could take long to search."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of Flink.

    Attributes:
        words: as Flink writes them, `ANYTHING` for what differs.
        said_by: the class that has them among its constants, below `org/apache/flink/`.
        since: the first version that says it, such as "2.3"; empty: all that are supported.
        until: the last version that says it; empty: it still does.
        pattern: made of the words.
    """

    words: str
    said_by: str
    since: str = ""
    until: str = ""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pieces = (re.escape(piece) for piece in self.words.split(ANYTHING))
        object.__setattr__(self, "pattern", re.compile(rf"[^\n]{{0,{MOST_BETWEEN}}}?".join(pieces)))


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of a stack trace: the method of a class, below `org/apache/flink/`."""

    said_by: str
    method: str

    @property
    def text(self) -> str:
        """As a stack trace has it."""
        return f"at org.apache.flink.{self.said_by.replace('/', '.')}.{self.method}("


def says(text: str, *phrases: Phrase | Frame | str) -> bool:
    """True when a text has any of these: a phrase, a frame of its stack trace, or other words."""
    return any(_has(text, phrase) for phrase in phrases)


def _has(text: str, phrase: Phrase | Frame | str) -> bool:
    match phrase:
        case Phrase():
            return phrase.pattern.search(text) is not None
        case Frame():
            return phrase.text in text
        case str():
            return phrase in text


# jobs and operations that are not there

JOB_NOT_FOUND: Final = (
    Phrase("FlinkJobNotFoundException", "runtime/messages/FlinkJobNotFoundException"),
    Phrase("Could not find Flink job", "runtime/messages/FlinkJobNotFoundException"),
    Phrase("Job could not be found", "runtime/rest/handler/job/JobCancellationHandler"),
)
THIS_JOB_NOT_FOUND: Final = Phrase("Job %s not found", "runtime/rest/handler/job/AbstractExecutionGraphHandler")
"""Said with the job's id, and too short to mean anything without."""
OPERATION_NOT_FOUND: Final = (
    Phrase(
        "There is no savepoint operation with triggerId=",
        "runtime/rest/handler/job/savepoints/SavepointHandlers$SavepointStatusHandler",
    ),
    Phrase(
        "There is no checkpoint operation with triggerId=",
        "runtime/rest/handler/job/checkpoints/CheckpointHandlers$CheckpointStatusHandler",
    ),
    Phrase("UnknownOperationKey", "runtime/dispatcher/UnknownOperationKeyException"),
    Phrase(
        "Operation not found under key",
        "runtime/rest/handler/async/AbstractAsynchronousOperationHandlers$StatusHandler",
    ),
)
CHECKPOINTING_OFF: Final = (
    Phrase("Checkpointing is not enabled", "runtime/rest/handler/job/checkpoints/CheckpointConfigHandler"),
    Phrase("Checkpointing was not enabled", "runtime/rest/handler/job/checkpoints/AbstractCheckpointHandler"),
    Phrase("Checkpointing has not been enabled", "runtime/rest/handler/job/checkpoints/CheckpointingStatisticsHandler"),
)
CHECKPOINT_NOT_FOUND: Final = Phrase(
    "Could not find checkpointing statistics for checkpoint ",
    "runtime/rest/handler/job/checkpoints/AbstractCheckpointHandler",
)
JAR_NOT_FOUND: Final = Phrase(
    "Jar file … does not exist", "runtime/webmonitor/handlers/utils/JarHandlerUtils$JarHandlerContext"
)
JAR_TO_DELETE_NOT_FOUND: Final = Phrase("File … does not exist in ", "runtime/webmonitor/handlers/JarDeleteHandler")
NO_RESCALE: Final = Phrase("does not support changing the parallelism", "runtime/scheduler/SchedulerNG")

# savepoints

SAVEPOINT_MADE: Final = Phrase(
    "A savepoint has been created at: ", "runtime/scheduler/stopwithsavepoint/StopWithSavepointStoppingException"
)
NO_DIRECTORY_MADE: Final = (
    Phrase("Failed to create savepoint directory", "runtime/state/filesystem/AbstractFsCheckpointStorageAccess"),
    Phrase("Mkdirs failed to create", "core/fs/local/LocalFileSystem"),
)
NOT_STREAMING: Final = (
    Phrase("is not a streaming job", "runtime/scheduler/SchedulerBase"),
    Phrase("Blocking output edge exists in running tasks", "runtime/checkpoint/CheckpointFailureReason"),
)

# snapshots that a job cannot start from

NO_SNAPSHOT: Final = (
    Phrase("Cannot find checkpoint or savepoint", "runtime/state/filesystem/AbstractFsCheckpointStorageAccess"),
    Phrase("Cannot find meta data file", "runtime/state/filesystem/AbstractFsCheckpointStorageAccess"),
)
NO_FILE_SYSTEM: Final = (
    Phrase("Could not find a file system implementation for scheme '", "core/fs/FileSystem"),
    Phrase("UnsupportedFileSystemSchemeException", "core/fs/UnsupportedFileSystemSchemeException"),
)
NO_METADATA: Final = (
    Phrase(
        "Unexpected magic number. This can have multiple reasons: (1) You are trying to load a Flink 1.0 savepoint",
        "runtime/checkpoint/Checkpoints",
    ),
    Phrase("Unrecognized checkpoint version number: ", "runtime/checkpoint/metadata/MetadataSerializers"),
)
NOT_MAPPED: Final = Phrase(
    "Failed to rollback to checkpoint/savepoint …. Cannot map checkpoint/savepoint state for operator … to the new program, "
    "because the operator is not available in the new program",
    "runtime/checkpoint/Checkpoints",
)
HINT_FOR_THE_COMMAND_LINE: Final = Phrase(
    " If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.",
    "runtime/checkpoint/Checkpoints",
)
"""A way out that only the command line has; `restore.allowNonRestoredState` is that of a FlinkJob."""
INCOMPATIBLE: Final = (
    Phrase(
        "Max parallelism mismatch between checkpoint/savepoint state and new program", "runtime/checkpoint/Checkpoints"
    ),
    Phrase("StateMigrationException", "util/StateMigrationException"),
)
OTHER_BACKEND: Final = Phrase(
    "This can mostly happen when a different StateBackend from the one that was used for taking a checkpoint/savepoint is "
    "used when restoring.",
    "runtime/state/StateUtil",
)
READING_METADATA: Final = Frame("runtime/checkpoint/Checkpoints", "loadCheckpointMetadata")
RESTORING: Final = (
    Frame("runtime/checkpoint/CheckpointCoordinator", "restoreSavepoint"),
    Phrase(" provided restore options.", "streaming/api/operators/BackendRestorerProcedure"),
)
"""What stands in the failure of a job, whatever its cause, whose state is being read."""
NOT_INITIALIZED: Final = Phrase("JobInitializationException", "runtime/client/JobInitializationException")
"""The job failed before any of its tasks was deployed."""

NO_SLOTS: Final = Phrase("NoResourceAvailableException", "runtime/jobmanager/scheduler/NoResourceAvailableException")

# programs that are refused

DUPLICATE: Final = (
    Phrase("DuplicateJobSubmissionException", "runtime/client/DuplicateJobSubmissionException"),
    Phrase(
        "DuplicateApplicationSubmissionException", "runtime/client/DuplicateApplicationSubmissionException", since="2.3"
    ),
)
EXIT: Final = Phrase("UserSystemExitException", "core/security/UserSystemExitException")
MULTIPLE_JOBS: Final = (
    Phrase(
        "Cannot have more than one execute() or executeAsync() call in a single environment.",
        "client/program/StreamContextEnvironment",
        until="2.2",
    ),
    Phrase(
        "Cannot have more than … jobs in a single environment.", "client/program/StreamContextEnvironment", since="2.3"
    ),
)
NO_JOB: Final = Phrase("No jobs included in application", "runtime/webmonitor/handlers/JarRunHandler")
NOT_A_JAR: Final = Phrase("Error while opening jar file", "client/program/PackagedProgram")
ENTRY_CLASS: Final = (
    Phrase("The program's entry point class '", "client/program/PackagedProgram"),
    Phrase("does not have a main(String[]) method", "client/program/PackagedProgram"),
    Phrase("has no main(String[]) method", "client/program/PackagedProgram"),
    Phrase("declares a non-static main method", "client/program/PackagedProgram"),
    Phrase("declares a non-public main method", "client/program/PackagedProgram"),
    Phrase("Neither a 'Main-Class', nor a 'program-class' entry was found", "client/program/PackagedProgram"),
)
OPTION_NOT_PARSED: Final = Phrase("Could not parse value '…' for key '", "configuration/Configuration")
JOB_ID_NOT_PARSED: Final = Phrase("Cannot parse JobID from ", "api/common/JobID")
PARALLELISM: Final = Phrase("Parallelism must be at least one, or ExecutionConfig", "api/common/ExecutionConfig")
CHECKPOINT_INTERVAL: Final = Phrase(
    "Checkpoint interval must be larger than", "streaming/api/environment/CheckpointConfig"
)
CONFIG: Final = (
    OPTION_NOT_PARSED,
    Phrase("did not match expected format", "runtime/rest/handler/AbstractHandler"),
    JOB_ID_NOT_PARSED,
    PARALLELISM,
    CHECKPOINT_INTERVAL,
    Phrase("IllegalConfigurationException", "configuration/IllegalConfigurationException"),
)
MAIN_THREW: Final = Phrase("The main method caused an error", "client/program/PackagedProgram")
EXECUTE_FAILED: Final = Phrase("Failed to execute job '", "streaming/api/environment/StreamExecutionEnvironment")

SCRIPT: Final = "Caused by: dev.flinkjob.runner.SqlScriptException: "
"""What the operator's own SQL runner says of a script; nothing has been submitted then."""

PYTHON: Final = "Caused by: org.apache.flink.client.deployment.application.UnsuccessfulExecutionException: python-"
"""What the operator's own Python runner says of a program, before `threw`, `exit`, `module` or `java`."""
PYTHON_JAVA: Final = f"{PYTHON}java: "
"""An exception of Flink or of a connector that the program did not catch; it is the cause of this one."""
PYTHON_STARTED: Final = Frame("client/python/PythonEnvUtils", "startPythonProcess")
PYTHON_EXIT_CODE: Final = Phrase("Python process exits with code: ", "client/python/PythonDriver")
WITHOUT_PYFLINK: Final = f"{PYTHON_EXIT_CODE.words}97"
"""The exit code is that of the operator's own Python runner."""

NOT_FLINKS: Final = {
    "cannot be written": (
        "FileAlreadyExistsException",
        "AccessDeniedException",
        "NotDirectoryException",
        "Not a directory",
        "Permission denied",
        "Read-only file system",
    ),
    "no program": ("Cannot run program ",),
    "no access": ("InaccessibleObjectException",),
    "no jar": ("zip END header not found", "ZipException"),
    "no file": ("FileNotFoundException", "NoSuchFileException", "NoSuchKey", "The specified key does not exist"),
    "no answer": (
        "ConnectException",
        "ConnectTimeoutException",
        "NoRouteToHostException",
        "UnknownHostException",
        "SocketTimeoutException",
        "SocketException",
        "SSLException",
        "TimeoutException",
        "Unable to execute HTTP request",
        "Connection refused",
        "SlowDown",
        "Service Unavailable",
        "Please reduce your request rate",
    ),
}
"""Words of Java, of the operating system and of object stores, by what they mean."""
