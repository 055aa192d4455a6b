"""Runs a PyFlink program, and hands its exception to Flink, so that the answer to the run call says what went wrong.

It is in the uploaded jar beside the files of the program, and Flink's PythonDriver starts it as a module. Arguments: `job:`
and the id of the job, `file:NAME` or `module:NAME`, then the program's own. Python 3.8 is enough for it.
"""

import os
import runpy
import shutil
import sys
import tempfile
import traceback
import zipfile

NO_PYFLINK = 97
"""The exit code where there is no PyFlink, which the exception would be handed over by."""
LONGEST = 4000
LONGEST_TRACE = 50000


def _unpack(archive):
    """A directory with the files of the program, which it may also read as files, and whether it is to be removed.

    Flink 2 has unpacked them already.
    """
    if os.path.isdir(archive):
        return archive, False
    home = os.path.realpath(tempfile.mkdtemp(prefix="flinkjob-"))
    with zipfile.ZipFile(archive) as jar:
        for name in jar.namelist():
            if not name.startswith("META-INF/") and not name.endswith((".class", "/")):
                jar.extract(name, home)
    return home, True


class Busy(Exception):
    """Flink has begun with another program meanwhile, which this one would be submitted as."""


def _keep_context(job):
    """Have the program submitted as this job, whatever else Flink begins with.

    Flink notes what is submitted how for the thread that begins with a program, and for all threads together. PythonDriver's
    gateway has threads of its own, so that the last program that Flink began with on the JobManager would count, or that none
    is there any more. Here the note of the right program becomes that of the gateway's thread.

    Raises:
        Busy: it is the note of another program already.
    """
    from pyflink.java_gateway import get_gateway

    jvm = get_gateway().jvm
    environments = jvm.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    loaded = jvm.java.lang.Class.forName("org.apache.flink.streaming.api.environment.StreamExecutionEnvironment")
    of_all, of_thread = (
        loaded.getDeclaredField(name) for name in ("contextEnvironmentFactory", "threadLocalContextEnvironmentFactory")
    )
    of_all.setAccessible(True)
    of_thread.setAccessible(True)
    note = of_all.get(None)
    if note is None:
        raise Busy("another program was compiled or started on the JobManager at the same time")
    of_thread.get(None).set(note)
    key = jvm.org.apache.flink.configuration.PipelineOptionsInternal.PIPELINE_FIXED_JOB_ID
    if environments.getExecutionEnvironment().getConfiguration().get(key) != job:
        raise Busy("another program was compiled or started on the JobManager at the same time")


def _run(what, args, home):
    kind, _, name = what.partition(":")
    sys.path[0] = home
    os.chdir(home)
    if kind == "file":
        path = os.path.join(home, name)
        sys.argv[:] = [path, *args]
        runpy.run_path(path, run_name="__main__")
    else:
        sys.argv[:] = [name, *args]
        runpy.run_module(name, run_name="__main__", alter_sys=True)


def _place(error, home):
    """Where in the program an exception was raised, as "job.py, line 3: "; empty where it was not."""
    if isinstance(error, SyntaxError):
        found = [(error.filename or "", error.lineno)]
    else:
        found = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(name, line) for name, line in found if name.startswith(home + os.sep) and name != __file__]
    return f"{os.path.relpath(own[-1][0], home)}, line {own[-1][1]}: " if own else ""


def _kind(error):
    """What an exception is to the operator."""
    if isinstance(error, Busy):
        return "busy"
    if isinstance(error, SystemExit):
        return "exit"
    missing = isinstance(error, ImportError) and str(error).startswith("No module named")
    return "module" if missing else "threw"


def _telling(error):
    """The exception that says it: where the module to run is looked for, another one is around it."""
    return error.__cause__ if isinstance(error, ImportError) and isinstance(error.__cause__, ImportError) else error


def _hand_over(error, home):
    """PythonDriver throws what it is given here instead of the exit code, if it is of this class."""
    from pyflink.java_gateway import get_gateway

    java, trace = getattr(error, "java_exception", None), getattr(error, "stack_trace", None)
    if java is not None:
        text = f"python-java: {_place(error, home)}"
    elif isinstance(trace, str):  # PyFlink gives some of Flink's exceptions as texts
        text = f"python-java: {_place(error, home)}\nCaused by: {trace[:LONGEST_TRACE]}"
    else:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        text = f"python-{_kind(error)}: {_place(error, home)}{type(error).__name__}: {said[:LONGEST]}"
    jvm = get_gateway().jvm
    unsuccessful = jvm.org.apache.flink.client.deployment.application.UnsuccessfulExecutionException
    job = jvm.org.apache.flink.api.common.JobID(0, 0)
    try:
        given = unsuccessful(job, jvm.org.apache.flink.api.common.JobStatus.FAILED, text, java)
    except Exception:  # Flink 1 has another class there
        failed = jvm.org.apache.flink.runtime.clusterframework.ApplicationStatus.FAILED
        given = unsuccessful(job, failed, text, java)
    jvm.org.apache.flink.client.python.PythonEnvUtils.setPythonException(given)


def main():
    """Run the program; returns the exit code."""
    try:
        import pyflink  # noqa: F401
    except ImportError:
        traceback.print_exc()
        return NO_PYFLINK
    home, made = _unpack(os.path.dirname(os.path.abspath(__file__)))
    try:
        _keep_context(sys.argv[1].partition(":")[2])
        _run(sys.argv[2], sys.argv[3:], home)
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0):
            return 0
        traceback.print_exc()
        try:
            _hand_over(_telling(error), home)
        except Exception:
            traceback.print_exc()
        return 1
    finally:
        if made:
            os.chdir(os.sep)
            shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
