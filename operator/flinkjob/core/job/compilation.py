"""What a program compiles to on the cluster, without running it: asked before a job is replaced or rescaled.

Called by the job decision. Invariant: a program's main() runs for this inside the JobManager, so it is asked only where the
cluster intercepts `System.exit` and the user has not disabled it.
"""

from __future__ import annotations

from flinkjob.api.enums import Switch
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import JobGraph
from flinkjob.core.job import submission
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.jobgraph import Topology
from flinkjob.core.seen import ArtifactSeen, JobGraphPhase, JobGraphRequest


def compiled(draft: Draft, spec: FlinkJobSpec, run: Submission, artifact: ArtifactSeen) -> Topology | Halt | None:
    """The job graph of the program with the present spec, or what is waited for; None where it may not be asked."""
    if spec.upgrade.preflight is Switch.DISABLED or not draft.observation.target.intercepts_exit:
        return None
    request = submission.run_request(draft, spec, run, artifact)
    graph = draft.need(JobGraph(JobGraphRequest(url=draft.wanted_url, jar_id=artifact.jar_id or "", request=request)))
    match graph.phase:
        case JobGraphPhase.COMPILED:
            return graph.topology
        case JobGraphPhase.WORKING:
            text = "compiling the new program on the cluster"
            return draft.wait(Step.PREFLIGHT, Reason.Upgrading, text, requeue_after=0.5)
        case JobGraphPhase.REFUSED:
            return draft.stall(Reason.PreflightFailed, graph.message)
        case JobGraphPhase.UNCLEAR:
            attempts = draft.failures_of(Step.PREFLIGHT) + 1
            return draft.retry(Step.PREFLIGHT, Reason.PreflightFailed, graph.message, pause=5.0, attempts=attempts)
