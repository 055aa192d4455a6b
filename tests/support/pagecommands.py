"""Which tests run the commands of which page, and which commands none runs as they stand there, with the reason.

`tests/unit/test_pages.py` holds both tables complete; `python -m tests.support.pagecommands` counts.
"""

from __future__ import annotations

from tests.support import pages
from tests.support.pages import Found

NEWCOMER = "integration/test_newcomer.py"
NODE = "node/test_node.py"
QUICK_START = "integration/test_pages.py"
STORIES = "integration/test_page_stories.py"

RUN: dict[str, str] = {
    "README.md": f"{NEWCOMER}, {NODE}",
    "deploy/README.md": STORIES,
    "docs/install.md": STORIES,
    "docs/kubectl.md": STORIES,
    "docs/moving/official.md": STORIES,
    "docs/quickstart.md": QUICK_START,
    "docs/reasons.md": STORIES,
    "docs/tasks/backup.md": STORIES,
    "docs/tasks/first-job.md": STORIES,
    "docs/tasks/gitops.md": STORIES,
    "docs/tasks/lost-cluster.md": STORIES,
    "docs/tasks/python.md": STORIES,
    "docs/tasks/rescale.md": STORIES,
    "docs/tasks/rollback.md": STORIES,
    "docs/tasks/sql.md": STORIES,
    "docs/tasks/upgrade.md": STORIES,
    "docs/walk.md": f"{NEWCOMER}, {STORIES}",
}
"""The tests that run the commands of a page."""

_RELEASE = (
    "tests/node installs, upgrades and removes the release that it has built, by the same command with its values"
)
_NODE = "tests/node starts and ends the node that its tests share"
_RIGHTS = "replaces the rights that other tests work with: tests/chart compares it with the chart, which is installed"
_PACKAGES = "installs packages: tests/chart/test_krew.py does, of the wheel of a release"
_LOCAL = "test_environment.py starts and ends the same environment; the newcomer's second Flink is that of the tests"
_ITSELF = "runs the tests themselves"
_SHELL = "sets up the shell of a person who has just started what is meant; test_newcomer.py does, for the demo"

NOT_RUN: dict[str, str] = {
    "export 'PATH=$(dirname $KUBECTL):$(dirname $HELM):$PATH'": _SHELL,
    "flinkjob-operator --kubeconfig '$KUBECONFIG' --cache-dir /tmp/flinkjob-cache --log-format text": (
        "runs until it is ended: every integration test works with one"
    ),
    "helm install flinkjob-operator deploy/chart --namespace flinkjob-system --create-namespace --wait": _RELEASE,
    "helm install flinkjob-operator deploy/chart --namespace flinkjob-system --create-namespace --wait "
    "--set image.repository=registry.example.com/flinkjob-operator": _RELEASE,
    "helm uninstall flinkjob-operator --namespace flinkjob-system": _RELEASE,
    "helm upgrade flinkjob-operator deploy/chart --namespace flinkjob-system --wait": _RELEASE,
    "kubectl apply --server-side -k deploy/kustomize/overlays/bound-secrets": _RIGHTS,
    "kubectl apply --server-side -k deploy/kustomize/overlays/monitoring": _RIGHTS,
    "kubectl apply --server-side -k deploy/kustomize/overlays/namespaces": _RIGHTS,
    "kubectl delete -k deploy/examples/flink-session": _NODE,
    "kubectl flinkjob query 'SELECT * FROM (VALUES (1, '\"'\"'one'\"'\"'), (2, '\"'\"'two'\"'\"')) AS t (id, name)' "
    "--mode batch --job clicks": "needs a real Flink: run for the FlinkJob of tasks/sql.md, which has one",
    "kubectl flinkjob ui -A": "serves until it is ended: test_browser.py opens it in a browser",
    "kubectl port-forward -n flinkjob-system service/flinkjob-operator-ui 8080:80": (
        "needs a Pod, and lasts until it is ended: tests/node reaches the Pods of the pages by the API server's proxy"
    ),
    "make check": _ITSELF,
    "make help": "lists targets, which every command of make in the pages is compared with",
    "make local-down": _LOCAL,
    "make local-up": _LOCAL,
    "make node-down": _NODE,
    "make node-up": _NODE,
    "make run": "runs until it is ended: make demo starts the same operator",
    "make test": _ITSELF,
    "pip install .": _PACKAGES,
    "pip install '.[cli]'": _PACKAGES,
    "pip install '.[ui]'": _PACKAGES,
    "set '-a;' . '.local/env;' set +a": _SHELL,
    "set '-a;' . '.local/node/env;' set +a": _SHELL,
}
"""Commands, as `pages.commands` has them, that are only checked for being callable."""


def run() -> list[Found]:
    """The commands that a test runs as they stand in their page."""
    return [each for each in pages.commands() if each.page in RUN and each.text not in NOT_RUN]


def only_checked() -> list[Found]:
    """The other ones."""
    done = set(run())
    return [each for each in pages.commands() if each not in done]


def main() -> None:
    """Print the counts."""
    ran, rest = run(), only_checked()
    print(f"{len(ran) + len(rest)} commands in {len(pages.PAGES)} pages: {len(ran)} are run, {len(rest)} only checked")
    for text in sorted({each.text for each in rest}):
        print(f"  {text}\n    {NOT_RUN[text]}")


if __name__ == "__main__":
    main()
