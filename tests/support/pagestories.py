"""What readers of the pages do besides their commands, page by page: before, between and after them, and what they see.

`tests/integration/test_page_stories.py` runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NAMESPACE = "stories"
PINNED = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d92c8a3f3fbb2f4c0f3f6b1"
"""The SHA-256 of a jar in the page on upgrades."""
CLICKS = "kubectl apply -f clicks.yaml; kubectl wait fj/clicks --for=condition=Ready --timeout=60s"
APPLY = 'kubectl apply -f "$MANIFEST"; kubectl wait fj/clicks --for=condition=Ready --timeout=60s'
SESSION_JOB = """apiVersion: flink.apache.org/v1beta1
kind: FlinkSessionJob
metadata: {name: clicks}
spec: {deploymentName: flink, job: {jarURI: "https://repo.example.com/clicks.jar", parallelism: 2, upgradeMode: savepoint}}
"""
MEANWHILE = """
kubectl flinkjob savepoint clicks --name clicks-7 --wait
silence 1
kubectl patch fj clicks --type merge -p '{"spec": {"cluster": {"url": "'$FLINK_URL'"}}}'
kubectl wait fj/clicks --for=jsonpath='{.status.conditions[?(@.type=="Ready")].reason}'=OldClusterUnreachable --timeout=120s
export JOB_ID=$(kubectl get fj clicks -o jsonpath='{.status.submission.jobId}')
"""
UPGRADED = """
kubectl patch fj clicks --type merge -p '{"spec": {"args": ["--topic", "clicks", "--window", "60"]}}'
kubectl wait fj/clicks --for=condition=Ready --timeout=60s
"""
ABANDONED = """
kubectl wait fj/clicks --for=jsonpath='{.status.hold.reason}'=Lost --timeout=60s
"""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A reader of a page.

    Attributes:
        section: the only one that is read; "": all.
        begin: what the reader has done before.
        manifests: by number, what the reader does with a manifest of the page, which is the file `$MANIFEST`.
        before: what happens before a command that begins so.
        shows: by the beginning of a command, a pattern of what it prints.
        fails: beginnings of commands that end with 1.
        end: what the reader does at last.
        real: whether the cluster is a real one.
        words: what stands for words of the page, besides what does in all.
    """

    section: str = ""
    begin: str = ""
    manifests: Mapping[int, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    shows: Mapping[str, str] = field(default_factory=dict)
    fails: tuple[str, ...] = ()
    end: str = ""
    real: bool = False
    words: Mapping[str, str] = field(default_factory=dict)


STORIES: dict[str, Story] = {
    "deploy/README.md": Story(),
    "docs/install.md": Story(
        begin="kubectl create service clusterip flink-jobmanager --tcp=8081; kubectl create secret generic flink-login",
        shows={"kubectl annotate service": "annotated", "kubectl annotate secret": "annotated"},
    ),
    "docs/kubectl.md": Story(
        begin="sed 's/parallelism: 2/parallelism: 1/' clicks.yaml | kubectl apply -f -; "
        "kubectl wait fj/clicks --for=condition=Ready --timeout=60s",
        before={
            "kubectl flinkjob rollback": UPGRADED,
            "kubectl flinkjob migrate": f"cat > flinksessionjob.yaml <<END\n{SESSION_JOB}END",
        },
        shows={
            "kubectl flinkjob get -A": rf"{NAMESPACE} +clicks +True +Running",
            "kubectl flinkjob status": r"^  run 1 +live since",
            "kubectl flinkjob savepoint": r"savepoint file:.+/savepoint-\w+-\w+$",
            "kubectl flinkjob suspend clicks --wait": "clicks: Suspended",
            "kubectl flinkjob explain": "^CrashLooping ",
            "kubectl flinkjob rollback clicks": "clicks: run 6: Running",
            "kubectl flinkjob cancel clicks": "clicks: Cancelled",
        },
        fails=("kubectl flinkjob migrate",),
        end="grep -q 'kind: FlinkJob' flinkjob.yaml; kubectl delete fj clicks",
    ),
    "docs/moving/official.md": Story(
        begin=f"kubectl apply -f - <<END\n{SESSION_JOB}END",
        fails=("kubectl flinkjob migrate",),
        end="grep -q 'kind: FlinkJob' flinkjob.yaml",
    ),
    "docs/reasons.md": Story(),
    "docs/tasks/backup.md": Story(
        real=True,
        manifests={
            0: APPLY,
            1: "kubectl delete fj clicks; kubectl delete fsp --all; "
            'kubectl apply -f "$MANIFEST"; '
            "kubectl wait fj/clicks --for=jsonpath='{.status.phase}'=Suspended --timeout=60s",
        },
        shows={"kubectl get fj clicks -o jsonpath='{.status.submission.restoredWhy}": "cop"},
        end="kubectl delete fj clicks",
    ),
    "docs/tasks/first-job.md": Story(
        manifests={0: 'cp "$MANIFEST" clicks.yaml'},
        shows={
            "kubectl flinkjob validate": "1 of 1 can be used",
            "kubectl get fj clicks -o wide": r"^clicks +True +Running +RUNNING ",
            "kubectl flinkjob status": r"^Run: +1 \(Initial\)",
            "kubectl flinkjob suspend": "clicks: Suspended",
            "kubectl delete": '"clicks" deleted',
        },
    ),
    "docs/tasks/gitops.md": Story(
        begin="kubectl create namespace argocd; kubectl create configmap argocd-cm --namespace argocd; "
        "kubectl create namespace flux-system",
        shows={"kubectl --namespace argocd": "configmap/argocd-cm patched"},
        end="kubectl delete namespace argocd flux-system --wait=false",
    ),
    "docs/tasks/lost-cluster.md": Story(
        begin=f"{CLICKS}; kubectl flinkjob stop clicks --wait",
        before={"kubectl annotate": MEANWHILE, "kubectl get fsp": ABANDONED},
        shows={"kubectl get fj clicks -o jsonpath='{.status.hold}": r"^\{", "kubectl get fsp": "^clicks-7 .*Completed"},
        end="kubectl get fj clicks -o jsonpath='{.status.submission.restoredWhy}' | grep clicks-7; wake 1; "
        "kubectl delete fj clicks",
        words={"0123456789abcdef0123456789abcdef": "$JOB_ID"},
    ),
    "docs/tasks/python.md": Story(
        manifests={0: APPLY.replace("clicks", "names")},
        shows={"kubectl get fj names": "^names +True +Running"},
        end="kubectl delete fj names",
    ),
    "docs/tasks/rescale.md": Story(
        begin=CLICKS,
        shows={"kubectl get hpa": "^minimal ", "kubectl get scaledobject": "^minimal "},
        end="kubectl get fj clicks -o jsonpath='{.status.job.parallelism}' | grep -qx 2; "
        "kubectl delete fj clicks; kubectl delete hpa,scaledobject minimal",
    ),
    "docs/tasks/rollback.md": Story(
        begin="\n".join(
            (
                CLICKS,
                *(
                    f'kubectl patch fj clicks --type merge -p \'{{"spec": {{"args": ["--window", "{number}"]}}}}\'\n'
                    f"kubectl wait fj/clicks --for=jsonpath='{{.status.submission.number}}'={number} --timeout=60s\n"
                    "kubectl wait fj/clicks --for=condition=Ready --timeout=60s"
                    for number in (2, 3)
                ),
            )
        ),
        manifests={
            0: f"{APPLY}; kubectl wait fj/clicks --for=jsonpath='{{.status.submission.number}}'=4 --timeout=60s",
            1: f"kubectl flinkjob savepoint clicks --name clicks-before-fork --wait; {APPLY}; "
            "kubectl get fj clicks -o jsonpath='{.status.submission.restoredWhy}' | grep clicks-before-fork",
        },
        shows={"kubectl flinkjob diff clicks 3": "window", "kubectl flinkjob rollback clicks --to 3": "clicks: run 5"},
        end="kubectl delete fj clicks",
    ),
    "docs/tasks/sql.md": Story(
        real=True,
        manifests={0: 'kubectl apply -f "$MANIFEST"'},
        shows={"kubectl flinkjob query": r"^ *2 +two *$"},
        end="kubectl delete fj orders",
    ),
    "docs/tasks/upgrade.md": Story(
        begin=CLICKS,
        manifests={0: APPLY},
        shows={
            "kubectl get fj clicks -o jsonpath='{.status.submission.restoredFrom}": r"^file:.+savepoint",
            "kubectl flinkjob history": r"^ +3 +live ",
        },
        end="kubectl delete fj clicks",
    ),
    "docs/walk.md": Story(
        section="More to try",
        begin=CLICKS,
        shows={"kubectl wait fj/orders": "condition met", "kubectl delete fj orders": "deleted"},
        end="kubectl delete fj clicks",
    ),
}
