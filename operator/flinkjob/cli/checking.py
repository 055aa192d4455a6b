"""The commands that need no FlinkJob: explain, validate, migrate, completion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flinkjob.cli.completing import SCRIPT
from flinkjob.cli.errors import Code, WrongUsage
from flinkjob.cli.explain import all_words
from flinkjob.cli.explain import explain as explained
from flinkjob.cli.manifests import Manifest, read
from flinkjob.cli.migrate.report import migrate as translated
from flinkjob.cli.migrate.report import needs_a_person, report
from flinkjob.cli.output import Output, as_yaml
from flinkjob.cli.session import Context, Kubeconfig, Namespace
from flinkjob.cli.validate import Finding, findings, is_ours
from flinkjob.kube.errors import Gone, KubeRejected
from flinkjob.kube.kubecontext import KubeContext

Files = Annotated[
    list[Path], typer.Option("--filename", "-f", help="A file, a directory, or - for the standard input.")
]


def explain(
    reason: Annotated[
        str | None, typer.Argument(help="Such as CrashLooping. Defaults to all.", show_default=False)
    ] = None,
) -> Code:
    """Say what a reason means, and what a person can do."""
    Output().lines(all_words() if reason is None else explained(reason))
    return Code.DONE


def validate(
    filename: Files,
    server: Annotated[bool, typer.Option("--server", help="Also let the API server check them, by a dry run.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> Code:
    """Check manifests of FlinkJobs and FlinkSavepoints, without a cluster."""
    manifests = read(*filename)
    ours = [each for each in manifests if is_ours(each)]
    output = Output()
    if not ours:
        raise WrongUsage("there is no FlinkJob and no FlinkSavepoint in what was given")
    wrong = [finding for each in ours for finding in findings(each)]
    if server:
        named = {id(each.manifest) for each in wrong}
        chosen = KubeContext(namespace=namespace, context=context, kubeconfig=kubeconfig)
        wrong += asyncio.run(_ask(chosen, [each for each in ours if id(each) not in named]))
    output.lines(f"{each.manifest.place}: {each.manifest.name}: {each.words}" for each in wrong)
    bad = len({id(each.manifest) for each in wrong})
    others = len(manifests) - len(ours)
    left = f", {others} of other kinds not looked at" if others else ""
    output.progress(f"{len(ours) - bad} of {len(ours)} can be used{left}")
    return Code.FAILED if wrong else Code.DONE


def migrate(filename: Files) -> Code:
    """Translate manifests of other Flink operators: the results to the standard output, a report to the standard error."""
    output = Output()
    manifests = read(*filename)
    done = [one for each in manifests if (one := translated(each)) is not None]
    if not done:
        raise WrongUsage(
            "there is no FlinkSessionJob, FlinkDeployment, FlinkStateSnapshot or FlinkCluster in what was given"
        )
    bodies = [body for each in done for body in each.made]
    if bodies:
        output.raw(as_yaml(*bodies))
    output.report(report(done, others=len(manifests) - len(done)))
    return Code.FAILED if needs_a_person(done) else Code.DONE


def completion() -> Code:
    """Print the program by which kubectl completes this plugin; its head says where to put it."""
    Output().raw(SCRIPT)
    return Code.DONE


async def _ask(chosen: KubeContext, manifests: Sequence[Manifest]) -> list[Finding]:
    """What the API server finds wrong."""
    from flinkjob.kube.user import UserClient

    found = []
    async with await UserClient.connect(chosen) as kube:
        for each in manifests:
            try:
                await kube.check(each.body)
            except Gone as gone:
                found.append(Finding(manifest=each, words=f"{gone.message}: is there such a namespace, and the CRDs?"))
            except KubeRejected as refused:
                found.append(Finding(manifest=each, words=refused.message))
    return found


COMMANDS: dict[str, Callable[..., Any]] = {
    "explain": explain,
    "validate": validate,
    "migrate": migrate,
    "completion": completion,
}
