"""Flink's error texts: chains of Java exceptions with stack traces, and the bodies that carry them.

Used by: the whole simulator. Invariant: the texts are those of real answers (`tests/data/flink`), shortened in frames only.
"""

from dataclasses import dataclass
from typing import Any

from tests.flinksim.snapshots import Damage

REST = "org.apache.flink.runtime.rest.handler.RestHandlerException"
RUNTIME = "org.apache.flink.util.FlinkRuntimeException"
COMPLETION = "java.util.concurrent.CompletionException"
PROGRAM = "org.apache.flink.client.program.ProgramInvocationException"
FLINK = "org.apache.flink.util.FlinkException"
CHECKPOINT = "org.apache.flink.runtime.checkpoint.CheckpointException"
JOB_NOT_FOUND = "org.apache.flink.runtime.messages.FlinkJobNotFoundException"
INITIALIZATION = "org.apache.flink.runtime.client.JobInitializationException"
STOPPING = "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException"
_UNSUCCESSFUL = "org.apache.flink.client.deployment.application.UnsuccessfulExecutionException"
_FRAMES = "\tat org.apache.flink.runtime.Simulated.call(Simulated.java:1)\n\t... 1 more\n"
_SUSPENDING = "Checkpoint Coordinator is suspending."
_EXPIRED = "Checkpoint expired before completing."

SUPPRESSED = ("org.apache.flink.runtime.JobException", "Recovery is suppressed by NoRestartBackoffTimeStrategy")
"""Outermost cause when the restart strategy gives up."""

Cause = tuple[str, str]
"""Class and message of a Java exception."""


@dataclass(frozen=True, slots=True)
class JavaError:
    """A chain of exceptions, outermost first."""

    causes: tuple[Cause, ...]

    @property
    def text(self) -> str:
        """As `printStackTrace` writes it."""
        return "Caused by: ".join(f"{name}: {message}\n{_FRAMES}" for name, message in self.causes)

    @property
    def name(self) -> str:
        """Class of the outermost exception."""
        return self.causes[0][0]

    def serialized(self) -> dict[str, str]:
        """As in `failure-cause`."""
        return {"class": self.name, "stack-trace": self.text, "serialized-throwable": ""}


def error(*causes: Cause) -> JavaError:
    """A chain of exceptions, outermost first."""
    return JavaError(causes)


def server_side(failure: JavaError) -> dict[str, Any]:
    """Body of HTTP 500."""
    wrapped = f"<Exception on server side:\n{failure.text}\nEnd of exception on server side>"
    return {"errors": ["Internal server error.", wrapped]}


def told(failure: JavaError) -> dict[str, Any]:
    """Body of an error with its stack trace in one element."""
    return {"errors": [failure.text]}


def plain(message: str) -> dict[str, Any]:
    """Body of an error without a stack trace."""
    return {"errors": [message]}


def job_not_found(job_id: str) -> JavaError:
    """No such job (or, for operations, none that runs)."""
    return error((JOB_NOT_FOUND, f"Could not find Flink job ({job_id})"))


def suspending() -> JavaError:
    """The job ended or restarted under a snapshot."""
    return error((COMPLETION, f"{CHECKPOINT}: {_SUSPENDING}"), (CHECKPOINT, _SUSPENDING))


def expired() -> JavaError:
    """A snapshot took longer than a checkpoint may."""
    return error((COMPLETION, f"{CHECKPOINT}: {_EXPIRED}"), (CHECKPOINT, _EXPIRED))


def not_running(job_id: str) -> JavaError:
    """Not all tasks are running, so no snapshot can be made."""
    message = (
        f"Checkpoint triggering task Source: sequence (1/1) of job {job_id} is not being executed at the moment."
        " Aborting checkpoint. Failure reason: Not all required tasks are currently running."
    )
    return error((COMPLETION, f"{CHECKPOINT}: {message}"), (CHECKPOINT, message))


def not_executed(*inner: Cause) -> JavaError:
    """main() or the submission failed: the envelope of `POST /jars/:id/run`."""
    message = "Could not execute application."
    return error((REST, message), (COMPLETION, f"{RUNTIME}: {message}"), (RUNTIME, message), *inner)


def main_threw(*inner: Cause) -> JavaError:
    """main() threw: wrapped twice by Flink."""
    return not_executed((PROGRAM, f"The main method caused an error: {inner[0][1]}"), *inner)


def job_failed(name: str, *inner: Cause) -> JavaError:
    """`execute()` failed: the job was refused or could not be initialised."""
    message = f"Failed to execute job '{name}'."
    return not_executed((PROGRAM, f"The main method caused an error: {message}"), (FLINK, message), *inner)


def script(said: str) -> JavaError:
    """What the operator's SQL runner says of a script; it has no cause."""
    return main_threw(("dev.flinkjob.runner.SqlScriptException", said))


def python(kind: str, said: str) -> JavaError:
    """What the operator's Python runner says of a program: `threw`, `exit`, `module`, `busy` or `java`."""
    return _of_python((_UNSUCCESSFUL, f"python-{kind}: {said}"))


def python_ended(code: int) -> JavaError:
    """Python itself has ended, without a word of the runner."""
    return _of_python(("java.lang.RuntimeException", f"Python process exits with code: {code}"))


def no_python(executable: str) -> JavaError:
    """The JobManager has no such program."""
    said = f'Cannot run program "{executable}": error=2, No such file or directory'
    started = f"{said}\n\tat org.apache.flink.client.python.PythonEnvUtils.startPythonProcess(PythonEnvUtils.java:1)"
    return _of_python(("java.io.IOException", started))


def _of_python(cause: Cause) -> JavaError:
    aborted = (
        "org.apache.flink.client.program.ProgramAbortException",
        "java.lang.RuntimeException: Python process failed",
    )
    return not_executed(aborted, cause)


def damaged(place: str, how: Damage) -> tuple[Cause, ...]:
    """No job can start from a snapshot that is there."""
    if how is Damage.NO_METADATA:
        message = (
            f"Cannot find meta data file '_metadata' in directory '{place}'. Please try to load the checkpoint/savepoint"
            " directly from the metadata file instead of the directory."
        )
        return (("java.io.FileNotFoundException", message),)
    if how is Damage.METADATA:
        message = (
            "Unexpected magic number. This can have multiple reasons: (1) You are trying to load a Flink 1.0 savepoint,"
            " which is not supported by this version of Flink. (2) The file you were pointing to is not a savepoint at"
            " all. (3) The savepoint file has been corrupted."
        )
        return (("java.io.IOException", message),)
    restoring = (
        ("java.lang.Exception", "Exception while creating StreamOperatorStateContext."),
        (
            FLINK,
            "Could not restore keyed state backend for KeyedProcessOperator_0a448493b4782967b150582570326227_(1/1) from"
            " any of the 1 provided restore options.",
        ),
    )
    if how is Damage.FILES:
        return (*restoring, ("java.io.FileNotFoundException", f"{place}/5c77f776 (No such file or directory)"))
    message = (
        "Unexpected state handle type, expected one of: class org.apache.flink.runtime.state.KeyGroupsStateHandle, but"
        " found: class org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle. This can mostly happen when a"
        " different StateBackend from the one that was used for taking a checkpoint/savepoint is used when restoring."
    )
    return (*restoring, ("java.lang.IllegalStateException", message))


def no_file_system(scheme: str) -> tuple[Cause, Cause]:
    """The cluster has no file system for the scheme."""
    name = "org.apache.flink.core.fs.UnsupportedFileSystemSchemeException"
    message = (
        f"Could not find a file system implementation for scheme '{scheme}'. The scheme is not directly supported by"
        " Flink and no Hadoop file system to support this scheme could be loaded."
    )
    return (name, message), (name, "Hadoop is not in the classpath/dependencies.")


def stopped_badly(job_id: str, location: str) -> JavaError:
    """The savepoint of a stop is good, the job did not finish."""
    message = (
        f"A savepoint has been created at: {location}, but the corresponding job {job_id} failed during stopping."
        " The savepoint is consistent, but might have uncommitted transactions."
        " If you want to commit the transaction please restart a job from this savepoint."
    )
    return error((COMPLETION, f"{STOPPING}: {message}"), (STOPPING, message))
