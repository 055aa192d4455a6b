"""What `POST /jars/:id/run` and `/plan` do on the simulated cluster.

Used by: `rest.py`. Invariants: main() takes its time before anything happens, and nobody can stop it; the job id is taken
when `execute()` is reached; a restore that fails leaves a FAILED job and uses the id up.
"""

import re
from typing import Any

from flinkjob.core.flinkmodel import normalise_location
from tests.flinksim import javaerrors
from tests.flinksim.answers import job_plan
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.javaerrors import JavaError
from tests.flinksim.job import SimJob
from tests.flinksim.kinds import PYTHON, SQL, made_by_python, made_of_statements
from tests.flinksim.program import Program, SimJar, program
from tests.flinksim.reply import Reply, Response
from tests.flinksim.settings import INTERVAL, duration
from tests.flinksim.snapshots import RunRecord, SnapshotRecord

_HEX = re.compile(r"[0-9a-fA-F]{32}")
_EXIT = "cluster.intercept-user-system-exit"
_LEAST_INTERVAL = 0.01
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")


class Submission:
    """One request to run or compile a jar."""

    def __init__(self, sim: FlinkSim, jar_id: str, body: dict[str, Any], *, plan: bool = False) -> None:
        self._sim, self._jar_id, self._body, self._plan = sim, jar_id, body, plan
        arguments = body.get("programArgsList") or ()
        if not arguments and sim.settings.version < "2":
            arguments = str(body.get("programArgs") or "").split()
        self._arguments = tuple(str(each) for each in arguments)
        self._configuration = {str(key): str(value) for key, value in (body.get("flinkConfiguration") or {}).items()}
        self._program: Program = program(self._arguments)
        self._wrong: JavaError | None = None
        self._begins_python = False

    def start(self) -> Reply:
        """Look at the request, then let main() run; the reply is filled when `execute()` is over."""
        refused = self._refused()
        if refused is not None:
            return Reply.now(refused)
        reply = Reply()
        self._read_program()
        main = self._program.main_seconds
        process = self._sim.process
        self._sim.events.after(main, lambda: self._after_main(reply, process))
        reply.ready_at = self._sim.events.now + main + self._sim.settings.submit_seconds
        return reply

    def _refused(self) -> Response | None:
        job_id = self._body.get("jobId")
        if job_id is not None and not _HEX.fullmatch(str(job_id)):
            text = "Request did not match expected format JarRunRequestBody."
            cause = f'Cannot parse JobID from "{job_id}". The expected format is [0-9a-fA-F]{{32}}'
            error = javaerrors.error((javaerrors.REST, text), ("java.lang.IllegalArgumentException", cause))
            return Response(400, javaerrors.plain(error.text))
        jar = self._sim.jars.get(self._jar_id)
        if jar is None:
            message = f"Jar file {self._sim.upload_place}/{self._jar_id} does not exist"
            return Response(500, javaerrors.server_side(javaerrors.error((javaerrors.REST, message))))
        unusable = self._unusable(jar)
        if unusable is not None:
            wrapped = javaerrors.error((javaerrors.COMPLETION, unusable), (javaerrors.PROGRAM, unusable))
            return Response(500, javaerrors.server_side(wrapped))
        return None

    def _unusable(self, jar: SimJar) -> str | None:
        if not jar.is_zip:
            return f"Error while opening jar file '{self._sim.upload_place}/{jar.id}'"
        entry = self._body.get("entryClass") or jar.manifest_class
        if entry is None:
            return (
                "Neither a 'Main-Class', nor a 'program-class' entry was found in the jar file."
                " This jar file does not contain an entry point."
            )
        if entry != PYTHON and not jar.has_class(entry):
            return f"The program's entry point class '{entry}' was not found in the jar file."
        return None

    def _read_program(self) -> None:
        """What the jar's program does, where that is not said by the arguments alone."""
        jar, entry = self._sim.jars[self._jar_id], self._body.get("entryClass")
        if entry == SQL:
            found = made_of_statements(jar, self._configuration)
        elif entry == PYTHON:
            found = self._begun_with_python(jar)
        else:
            return
        if isinstance(found, Program):
            self._program = found
        else:
            self._wrong = found

    def _begun_with_python(self, jar: SimJar) -> Program | JavaError:
        wanted = (self._sim.config | self._configuration).get("python.client.executable", "python")
        if self._sim.python != wanted:
            return javaerrors.no_python(wanted)
        if self._sim.python_begins:
            return javaerrors.python(
                "busy", "Busy: another program was compiled or started on the JobManager at the same time"
            )
        found = made_by_python(jar, self._arguments, self._configuration, self._sim.holds)
        self._sim.python_begins = self._begins_python = isinstance(found, Program)
        return found

    def _after_main(self, reply: Reply, process: int) -> None:
        if process != self._sim.process:
            return
        if self._begins_python:
            self._sim.python_begins = False
        failure = self._wrong or self._main_failure()
        if failure is not None:
            reply.response = Response(400, javaerrors.told(failure))
        elif self._program.exit_code is not None:
            reply.broken = True
            self._sim.restart_jobmanager()
        elif self._program.no_execute:
            failure = javaerrors.error((javaerrors.REST, "No jobs included in application."))
            reply.response = Response(400, javaerrors.told(failure))
        else:
            reply.response = self._planned() if self._plan else self._execute()

    def _main_failure(self) -> JavaError | None:
        given = self._program
        if given.main_throw is not None:
            return javaerrors.main_threw(("java.lang.IllegalStateException", given.main_throw))
        if given.exit_code is not None and self._sim.config.get(_EXIT) == "THROW":
            exits = "org.apache.flink.core.security.UserSystemExitException"
            message = "Flink user code attempted to exit JVM."
            return javaerrors.not_executed((exits, message), (exits, message))
        if int(self._body.get("parallelism", 1)) == 0:
            message = "Parallelism must be at least one, or ExecutionConfig.PARALLELISM_DEFAULT (use system default)."
            return javaerrors.main_threw(("java.lang.IllegalArgumentException", message))
        try:
            interval = duration(self._configuration.get(INTERVAL, "1s"))
            if interval < _LEAST_INTERVAL:
                message = "Checkpoint interval must be larger than or equal to 10 ms"
                return javaerrors.main_threw(("java.lang.IllegalArgumentException", message))
        except ValueError as error:
            message = f"Could not parse value '{error}' for key '{INTERVAL}'."
            number = f"text does not start with a number, and is not a valid ISO-8601 duration format: {error}"
            return javaerrors.main_threw(
                ("java.lang.IllegalArgumentException", message), ("java.lang.NumberFormatException", number)
            )
        return None

    def _planned(self) -> Response:
        job_id = self._body.get("jobId") or self._sim.unique() + "0" * 20
        return Response(200, job_plan(str(job_id), self._program, self._parallelism))

    @property
    def _parallelism(self) -> int:
        if self._program.own_parallelism is not None:
            return self._program.own_parallelism
        wanted = int(self._body.get("parallelism", -1))
        if wanted > 0:
            return wanted
        return int((self._sim.config | self._configuration).get("parallelism.default", "1"))

    def _execute(self) -> Response:
        sim, given = self._sim, self._program
        job_id = str(self._body.get("jobId") or sim.unique() + sim.unique() + "0" * 8).lower()
        if job_id in sim.used_ids:
            kind = "Application" if sim.settings.version >= "2.3" else "Job"
            name = f"org.apache.flink.runtime.client.Duplicate{kind}SubmissionException"
            duplicate = javaerrors.job_failed(given.name, (name, f"{kind} has already been submitted."))
            return Response(400, javaerrors.told(duplicate))
        sim.used_ids.add(job_id)
        path = self._body.get("savepointPath")
        origin, failure = self._origin(str(path)) if path else (None, None)
        run = RunRecord(
            number=len(sim.runs) + 1,
            job_id=job_id,
            incarnation=sim.incarnation,
            submitted=sim.events.now,
            arguments=self._arguments,
            configuration=self._configuration,
            parallelism=self._parallelism,
            restored_from=origin,
        )
        run.newest_before = sim.newest_state(run.owner, existing=True)
        run.live_before = tuple(
            job.job_id for job in sim.jobs.values() if not job.terminal and job.run.owner == run.owner
        )
        sim.runs.append(run)
        claim = self._body.get("claimMode") or self._body.get("restoreMode") or "NO_CLAIM"
        first = origin.checkpoint_id + 1 if origin else 1
        job = SimJob(sim, run, given, claim=claim, first_checkpoint=first)
        sim.jobs[job_id] = job
        if failure is not None:
            job.initialisation_failed(failure)
            return Response(400, javaerrors.told(javaerrors.job_failed(given.name, *failure.causes)))
        job.begin()
        if given.executes > 1:
            many = "one execute() or executeAsync() call" if sim.settings.version < "2.3" else "1 streaming jobs"
            message = f"Cannot have more than {many} in a single environment."
            return Response(400, javaerrors.told(javaerrors.main_threw((javaerrors.RUNTIME, message))))
        if given.throw_after_execute is not None:
            threw = javaerrors.main_threw(("java.lang.IllegalStateException", given.throw_after_execute))
            return Response(400, javaerrors.told(threw))
        answer = {"jobid": job_id}
        return Response(200, answer | ({"applicationId": job_id} if sim.settings.version >= "2.3" else {}))

    def _origin(self, path: str) -> tuple[SnapshotRecord | None, JavaError | None]:
        scheme = _SCHEME.match(path)
        if scheme and scheme.group(1) not in self._sim.settings.schemes:
            return None, self._not_started(*javaerrors.no_file_system(scheme.group(1)))
        found = self._sim.store.find(path)
        if found is None:
            message = f"Cannot find checkpoint or savepoint file/directory '{path}' on file system 'file'."
            return None, self._not_started(("java.io.FileNotFoundException", message))
        if (how := self._sim.store.damage_of(path)) is not None and how.at_once:
            return None, self._not_started(*javaerrors.damaged(path, how))
        if found.uid != self._program.uid and not self._body.get("allowNonRestoredState"):
            message = (
                f"Failed to rollback to checkpoint/savepoint {normalise_location(path)}. Cannot map checkpoint/savepoint"
                f" state for operator {found.uid} to the new program, because the operator is not available in the new"
                " program. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI."
            )
            return None, self._not_started(("java.lang.IllegalStateException", message))
        return found, None

    @staticmethod
    def _not_started(*causes: javaerrors.Cause) -> JavaError:
        return javaerrors.error((javaerrors.INITIALIZATION, "Could not start the JobMaster."), *causes)
