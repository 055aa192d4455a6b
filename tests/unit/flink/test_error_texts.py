"""Root causes and kinds of refusals, from texts as Flink writes them."""

import pytest

from flinkjob.core.errors import (
    MESSAGE_LIMIT,
    FlinkJobError,
    RestoreFailure,
    SavepointFailure,
    SubmitRejection,
    one_line,
    redact_urls,
)
from flinkjob.flink.error_texts import (
    explained,
    failure_cause,
    is_job_not_found,
    is_not_initialized,
    restore_failure,
    root_cause,
    savepoint_despite_failure,
    savepoint_failure,
    submit_rejection,
)
from tests.flinksim import javaerrors


@pytest.mark.behaviour(17)
def test_the_innermost_cause_wins_and_packages_are_cut() -> None:
    text = (
        "org.a.Outer: one\n\tat x.Y\nCaused by: java.util.concurrent.CompletionException: org.b.InnerException: two\n"
        "\tat x.Y\n\t... 4 more\nCaused by: org.b.InnerException: two\n\tat x.Y"
    )
    assert root_cause("Internal server error.", text) == "InnerException: two"


def test_wrapped_classes_are_unwrapped() -> None:
    assert (
        root_cause("java.util.concurrent.CompletionException: a.b.C$InnerException: m\n\tat x") == "InnerException: m"
    )


def test_messages_of_several_lines_become_one() -> None:
    assert root_cause("a.XException: first\nsecond   third\n\tat x.Y\nnever") == "XException: first second third"


def test_without_a_stack_trace_the_text_itself() -> None:
    assert root_cause("Parallelism must be at least one.") == "Parallelism must be at least one."
    assert root_cause() == ""
    assert root_cause("Internal server error.") == ""


def test_an_exception_without_message() -> None:
    text = "<Exception on server side:\njava.lang.NullPointerException\n\tat x.Y\n\nEnd of exception on server side>"
    assert root_cause("Internal server error.", text) == "NullPointerException"


def test_a_class_that_was_not_found_keeps_its_package() -> None:
    assert root_cause("a.XException: y\nCaused by: java.lang.ClassNotFoundException: no.Such\n\tat x") == (
        "ClassNotFoundException: no.Such"
    )


def test_suppressed_exceptions_are_not_the_cause() -> None:
    text = "a.XException: real\n\tat x.Y\n\tSuppressed: b.OtherException: not this\n\t\tat z"
    assert root_cause(text) == "XException: real"


@pytest.mark.behaviour(17)
def test_causes_are_capped_and_without_secrets() -> None:
    cause = root_cause("a.XException: cannot read https://user:pw@host/x?sig=abc " + "y" * 2000)
    assert len(cause) == MESSAGE_LIMIT
    assert "pw" not in cause
    assert "abc" not in cause
    assert "https://host/x " in cause


GLOBAL = (
    "org.apache.flink.util.FlinkException: Global failure triggered by OperatorCoordinator for 'Source: lines'.\n"
    "\tat org.apache.flink.runtime.operators.coordination.OperatorCoordinatorHolder.globalFailure(A.java:1)\n"
    "\t... 3 more\n"
)
ENUMERATOR = (
    "\tat org.apache.flink.connector.kafka.source.enumerator.KafkaSourceEnumerator.checkPartitionChanges(A.java:2)\n"
)
TOPIC = (
    f"{GLOBAL}Caused by: org.apache.flink.util.FlinkRuntimeException: Failed to list subscribed topic partitions due to \n"
    f"{ENUMERATOR}"
    "Caused by: java.lang.RuntimeException: Failed to get metadata for topics [clicks].\n"
    "\tat org.apache.flink.connector.kafka.source.enumerator.subscriber.KafkaSubscriberUtils.getTopicMetadata(A.java:3)\n"
    "Caused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.{error}\n"
    "\tat java.base/java.util.concurrent.CompletableFuture.reportGet(A.java:4)\n"
    "Caused by: org.apache.kafka.common.errors.{error}\n"
)
FETCHER = (
    "java.lang.RuntimeException: One or more fetchers have encountered exception\n"
    "\tat org.apache.flink.connector.base.source.reader.fetcher.SplitFetcherManager.checkErrors(A.java:1)\n"
    "Caused by: java.lang.RuntimeException: SplitFetcher thread 0 received unexpected exception while polling the records\n"
    "\tat org.apache.flink.connector.base.source.reader.fetcher.SplitFetcher.runOnce(A.java:2)\n"
)
BACKEND = (
    "java.lang.Exception: Exception while creating StreamOperatorStateContext.\n"
    "\tat org.apache.flink.streaming.api.operators.StreamTaskStateInitializerImpl.streamOperatorStateContext(A.java:1)\n"
    "Caused by: java.io.IOException: No space left on device\n\tat java.base/java.io.X(A.java:2)\n"
)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            TOPIC.format(error="UnknownTopicOrPartitionException: This server does not host this topic-partition."),
            "UnknownTopicOrPartitionException: This server does not host this topic-partition.; "
            "it caused RuntimeException: Failed to get metadata for topics [clicks].",
        ),
        (
            TOPIC.format(error="TimeoutException: Timed out waiting for a node assignment. Call: describeTopics"),
            "TimeoutException: Timed out waiting for a node assignment. Call: describeTopics; "
            "it caused RuntimeException: Failed to get metadata for topics [clicks].",
        ),
        (
            "com.shop.PriceException: no price for item 17\n\tat com.shop.Prices.of(A.java:1)\n"
            "Caused by: java.lang.NullPointerException\n\tat com.shop.Prices.look(A.java:2)",
            "NullPointerException; it caused PriceException: no price for item 17",
        ),
        (f"{FETCHER}Caused by: java.io.IOException: closed\n\tat x.Y.z(A.java:3)", "IOException: closed"),
        (BACKEND, "IOException: No space left on device"),
        (
            "java.lang.RuntimeException: a.b.XException: m\n\tat x.Y\nCaused by: a.b.XException: m\n\tat x.Y",
            "XException: m",
        ),
        ("a.XException: alone\n\tat x.Y", "XException: alone"),
        ("a.XException: cut off\nCaused by: a.YException: in the middle", "YException: in the middle"),
        ("", ""),
    ],
    ids=["no-topic", "no-broker", "program", "fetcher", "backend", "wrapper", "alone", "no-frame", "nothing"],
)
def test_a_failure_of_a_job_also_says_what_the_cause_made_fail(text: str, cause: str) -> None:
    assert failure_cause(text) == cause


@pytest.mark.behaviour(17)
def test_what_a_cause_made_fail_is_capped_and_without_secrets() -> None:
    outer = f"a.XException: cannot copy https://user:pw@host/x?sig=abc {'y' * 2000}\n\tat a.B.c(A.java:1)\n"
    cause = failure_cause(f"{outer}Caused by: a.YException: {'z' * 2000}\n\tat a.B.c(A.java:2)")
    assert len(cause) == MESSAGE_LIMIT
    assert "it caused XException: cannot copy https://host/x yyy" in cause
    assert "pw" not in cause
    assert "abc" not in cause


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://u:p@h:1/p?q=1#f now", "see https://h:1/p now"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("https://a@b@host/x", "https://host/x"),
        ("no url: a@b?c", "no url: a@b?c"),
    ],
)
def test_urls_lose_what_may_be_secret(text: str, shown: str) -> None:
    assert redact_urls(text) == shown


def test_errors_are_one_line_and_safe() -> None:
    error = FlinkJobError("two\nlines http://u:p@h/" + "x" * 1000)
    assert "\n" not in str(error)
    assert "u:p" not in str(error)
    assert len(error.message) == MESSAGE_LIMIT
    assert error.message.endswith("…")
    assert one_line(" a \n b ") == "a b"


@pytest.mark.parametrize(
    "message",
    [
        "Jar file x does not exist",
        "Cannot find checkpoint or savepoint file",
        "No jobs included in application",
        "zip END header not found",
        "Neither a 'Main-Class'",
    ],
)
def test_what_user_code_says_is_not_taken_for_flinks_words(message: str) -> None:
    failure = javaerrors.main_threw(("java.lang.IllegalStateException", message))
    assert submit_rejection([failure.text]) is SubmitRejection.MAIN_THREW


SCRIPT = "dev.flinkjob.runner.SqlScriptException"


@pytest.mark.parametrize(
    "said", ["Object 'DuplicateJobSubmissionException' not found", "No jobs included in application", "a ZipException"]
)
def test_what_is_wrong_with_a_script_is_recognised_whatever_its_words_are(said: str) -> None:
    failure = javaerrors.main_threw((SCRIPT, f"statement 2 (line 4): {said}"))
    kind = submit_rejection([failure.text])
    assert kind is SubmitRejection.SCRIPT
    assert not kind.permanent
    assert not kind.leaves_job
    assert explained(kind, root_cause(failure.text)) == f"statement 2 (line 4): {said}"


ABORTED = ("org.apache.flink.client.program.ProgramAbortException", "")
UNSUCCESSFUL = "org.apache.flink.client.deployment.application.UnsuccessfulExecutionException"


@pytest.mark.parametrize(
    ("causes", "kind", "says"),
    [
        (
            [(UNSUCCESSFUL, "python-threw: job.py, line 3: ValueError: DuplicateJobSubmissionException")],
            SubmitRejection.MAIN_THREW,
            "job.py, line 3: ValueError: DuplicateJobSubmissionException",
        ),
        ([(UNSUCCESSFUL, "python-exit: a.py, line 3: SystemExit: 7")], SubmitRejection.EXIT, "a.py, line 3: SystemExit: 7"),
        ([(UNSUCCESSFUL, "python-busy: Busy: another program")], SubmitRejection.PYTHON_BUSY, "another program"),
        (
            [(UNSUCCESSFUL, "python-module: ModuleNotFoundError: No module named 'x'")],
            SubmitRejection.PYTHON_MODULE,
            "ModuleNotFoundError: No module named 'x'; add it to spec.python.files",
        ),
        (
            [(UNSUCCESSFUL, "python-java: job.py, line 3: "), ("org.apache.flink.table.api.ValidationException", "no table")],
            SubmitRejection.MAIN_THREW,
            "ValidationException: no table",
        ),
        (
            [
                (UNSUCCESSFUL, "python-java: job.py, line 3: "),
                ("org.apache.flink.runtime.client.DuplicateJobSubmissionException", "Job has already been submitted."),
            ],
            SubmitRejection.DUPLICATE,
            "DuplicateJobSubmissionException: Job has already been submitted.",
        ),
        (
            [("java.lang.RuntimeException", "Python process exits with code: 97")],
            SubmitRejection.PYFLINK_MISSING,
            "the JobManager's Python has no PyFlink",
        ),
        (
            [("java.lang.RuntimeException", "Python process exits with code: 137")],
            SubmitRejection.MAIN_THREW,
            "RuntimeException: Python process exits with code: 137",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_python_program(causes: list[tuple[str, str]], kind: SubmitRejection, says: str) -> None:
    text = javaerrors.error(ABORTED, *causes).text
    assert submit_rejection([text]) is kind
    assert explained(kind, root_cause(text)).startswith(says)
    assert "UnsuccessfulExecutionException" not in explained(kind, root_cause(text))


def test_a_job_manager_without_python() -> None:
    frames = "\tat org.apache.flink.client.python.PythonEnvUtils.startPythonProcess(PythonEnvUtils.java:1)\n"
    said = 'java.io.IOException: Cannot run program "/no/python": error=2, No such file or directory'
    text = f"{javaerrors.error(ABORTED).text}Caused by: {said}\n{frames}"
    assert submit_rejection([text]) is SubmitRejection.PYTHON_MISSING
    assert submit_rejection([text.replace(frames, "")]) is SubmitRejection.OTHER, "whoever else starts programs"
    assert '"/no/python"' in explained(SubmitRejection.PYTHON_MISSING, root_cause(text))


@pytest.mark.parametrize("of_script", [True, False])
def test_a_java_that_is_closed_is_told_what_it_lacks(of_script: bool) -> None:
    said = 'Unable to make field private final java.util accessible: module java.base does not "opens java.util"'
    inner = ("java.lang.reflect.InaccessibleObjectException", said)
    cause = (SCRIPT, f"statement 1 (line 1): InaccessibleObjectException: {said}") if of_script else inner
    failure = javaerrors.main_threw(cause)
    kind = submit_rejection([failure.text])
    assert kind is SubmitRejection.JVM_OPTIONS
    assert kind.permanent
    told = explained(kind, root_cause(failure.text))
    assert "opens java.util" in told
    assert told.endswith("env.java.opts.all")


def test_a_job_that_failed_for_reasons_not_known() -> None:
    failure = javaerrors.job_failed(
        "x", (javaerrors.INITIALIZATION, "Could not start the JobMaster."), ("java.net.ConnectException", "refused")
    )
    assert submit_rejection([failure.text]) is SubmitRejection.JOB_FAILED
    assert root_cause(failure.text) == "ConnectException: refused"
    assert not SubmitRejection.JOB_FAILED.permanent
    assert SubmitRejection.JOB_FAILED.leaves_job


def test_only_flinks_words_mean_that_a_job_is_not_there() -> None:
    job = "0" * 32
    assert is_job_not_found([f"org.apache.flink.runtime.rest.NotFoundException: Job {job} not found\n\tat x"])
    assert is_job_not_found([javaerrors.job_not_found(job).text])
    assert not is_job_not_found(["Not found: /jobs"])
    assert not is_job_not_found(["Unable to load requested file /x."])
    assert not is_job_not_found([])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("java.io.IOException: Failed to create savepoint directory at file:/x", SavepointFailure.PERMANENT),
        (
            f"java.lang.Exception: x\nCaused by: java.io.IOException: {'y' * 600} Permission denied",
            SavepointFailure.PERMANENT,
        ),
        (f"org.apache.flink.X: Could not find Flink job ({'0' * 32})", SavepointFailure.JOB_NOT_FOUND),
        (f"java.lang.IllegalStateException: Job {'0' * 32} is not a streaming job.", SavepointFailure.NOT_STREAMING),
        ("x.CheckpointException: Blocking output edge exists in running tasks.", SavepointFailure.NOT_STREAMING),
        ("java.lang.Exception: Permission denied\nCaused by: java.lang.Exception: declined", SavepointFailure.OTHER),
        (javaerrors.suspending().text, SavepointFailure.OTHER),
    ],
)
def test_what_the_failure_of_a_savepoint_means_for_another_attempt(text: str, kind: SavepointFailure) -> None:
    assert savepoint_failure(text) is kind


FRAME = "at org.apache.flink.runtime.checkpoint.CheckpointCoordinator.restoreSavepoint(CheckpointCoordinator.java:1912)"
METADATA = "at org.apache.flink.runtime.checkpoint.Checkpoints.loadCheckpointMetadata(Checkpoints.java:114)"
OPTIONS = "x.FlinkException: Could not restore keyed state backend for X from any of the 1 provided restore options.\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "x.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'x' on file system",
            RestoreFailure.MISSING,
        ),
        ("java.io.FileNotFoundException: Cannot find meta data file '_metadata' in 'x'", RestoreFailure.MISSING),
        (f"java.io.IOException: {'y' * 600} Cannot find meta data file", RestoreFailure.MISSING),
        (
            "java.io.IOException: Could not find a file system implementation for scheme 'gs'",
            RestoreFailure.NO_FILE_SYSTEM,
        ),
        (f"java.io.EOFException\n\t{METADATA}\n\t{FRAME}", RestoreFailure.DAMAGED),
        (f"java.net.SocketTimeoutException: read\n\t{METADATA}\n\t{FRAME}", RestoreFailure.UNREACHABLE),
        (f"x.AmazonS3Exception: Service Unavailable (503)\n\t{FRAME}", RestoreFailure.UNREACHABLE),
        (f"x.AmazonS3Exception: Access denied (403)\n\t{FRAME}", RestoreFailure.OTHER),
        (f"{OPTIONS}Caused by: java.io.FileNotFoundException: /x/shared/1 (No such file)", RestoreFailure.FILES_GONE),
        (f"{OPTIONS}Caused by: java.io.IOException: No space left on device", RestoreFailure.OTHER),
        (
            "org.apache.flink.util.StateMigrationException: For heap backends, the new state …",
            RestoreFailure.INCOMPATIBLE,
        ),
        ("java.lang.IllegalStateException: fails on purpose", None),
        ("java.io.FileNotFoundException: /no/such/file of the program (No such file or directory)", None),
        ("java.io.EOFException", None),
    ],
)
def test_why_a_job_could_not_start_from_its_snapshot(text: str, kind: RestoreFailure | None) -> None:
    assert restore_failure(text) is kind


def test_only_what_may_go_away_is_tried_again() -> None:
    assert {kind for kind in RestoreFailure if not kind.permanent} == {RestoreFailure.UNREACHABLE, RestoreFailure.OTHER}


def test_a_job_that_was_never_started_and_one_whose_store_did_not_answer() -> None:
    def text(*cause: str) -> str:
        return javaerrors.job_failed("x", (javaerrors.INITIALIZATION, "Could not start the JobMaster."), cause).text

    assert is_not_initialized(text("org.apache.flink.util.DynamicCodeLoadingException", "Cannot find backend: nosuch"))
    assert not is_not_initialized(text("java.net.ConnectException", "refused"))
    assert not is_not_initialized("java.lang.IllegalStateException: fails on purpose")


def test_the_way_out_of_the_command_line_is_not_quoted() -> None:
    hint = "If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI."
    assert (
        root_cause(f"java.lang.IllegalStateException: it is not there. {hint}")
        == "IllegalStateException: it is not there."
    )


@pytest.mark.behaviour(45)
@pytest.mark.fault("flink-savepoint-made-stop-failed")
def test_the_savepoint_of_a_failed_stop_is_found() -> None:
    location = "file:/savepoints/savepoint-593c7b-e188d3cc6e1e"
    text = javaerrors.stopped_badly("0" * 32, location).text
    assert savepoint_despite_failure(text) == location
    assert savepoint_despite_failure(javaerrors.suspending().text) is None
