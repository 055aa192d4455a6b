"""Whether Argo CD, Flux or Helm applies an object, and what that means for a change of it that is made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flinkjob.kube.kubecontext import MANAGER


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A way in which a tool marks what it applies.

    Attributes:
        mark: the label or annotation.
        what: what its value names.
        managers: its names in `managedFields`.
        change: what a person changes so that a change stays.
    """

    name: str
    mark: str
    what: str
    managers: tuple[str, ...]
    change: str


_IN_GIT: Final = "change {fields} in the manifest in Git"
_IN_VALUES: Final = "change {fields} in the chart's values, and upgrade the release"
_ARGO_MANAGERS: Final = ("argocd-controller", "argocd-application-controller")
TOOLS: Final = (
    Tool(
        name="Argo CD",
        mark="argocd.argoproj.io/tracking-id",
        what="application",
        managers=_ARGO_MANAGERS,
        change=_IN_GIT,
    ),
    Tool(
        name="Argo CD", mark="argocd.argoproj.io/instance", what="application", managers=_ARGO_MANAGERS, change=_IN_GIT
    ),
    Tool(
        name="Flux",
        mark="kustomize.toolkit.fluxcd.io/name",
        what="Kustomization",
        managers=("kustomize-controller",),
        change=_IN_GIT,
    ),
    Tool(
        name="Flux",
        mark="helm.toolkit.fluxcd.io/name",
        what="HelmRelease",
        managers=("helm-controller",),
        change="change {fields} in the HelmRelease's values in Git",
    ),
    Tool(name="Helm", mark="meta.helm.sh/release-name", what="release", managers=("helm",), change=_IN_VALUES),
)
"""The more telling marks first: what Flux's HelmRelease applies has Helm's marks too."""


@dataclass(frozen=True, kw_only=True)
class Applier:
    """Who applies an object.

    Attributes:
        named: the application, Kustomization or release; "" where it is not known.
        sets: the fields of the spec that it sets, by their names; None where that is not known.
    """

    tool: Tool
    named: str
    sets: frozenset[str] | None

    @property
    def words(self) -> str:
        """Who, in words."""
        return f"{self.tool.name} ({self.tool.what} {self.named})" if self.named else self.tool.name


def applier_of(obj: Mapping[str, Any]) -> Applier | None:
    """The tool that applies this object; None where none shows."""
    meta = obj.get("metadata") or {}
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    entries = [each for each in meta.get("managedFields") or () if not each.get("subresource")]
    for tool in TOOLS:
        if tool.mark in marks:
            named = str(marks[tool.mark]).split(":")[0]  # Argo CD's tracking-id goes on with the object's own name
            return Applier(tool=tool, named=named, sets=_fields(entries, tool))
    for tool in TOOLS:
        if any(each.get("manager") in tool.managers for each in entries):
            return Applier(tool=tool, named="", sets=_fields(entries, tool))
    return None


def _fields(entries: Iterable[Mapping[str, Any]], tool: Tool) -> frozenset[str] | None:
    """What the tool sets. Who changes a field takes it over: what this plugin changed before is the tool's all the same."""
    if not any(each.get("manager") in tool.managers for each in entries):
        return None
    both = (*tool.managers, MANAGER)
    own = [each.get("fieldsV1") or {} for each in entries if each.get("manager") in both]
    return frozenset(name.removeprefix("f:") for each in own for name in each.get("f:spec") or ())


def warnings(obj: Mapping[str, Any], fields: Iterable[str]) -> list[str]:
    """What a person should know who changes these fields of the spec by hand; nothing where no tool applies the object."""
    owner = applier_of(obj)
    if owner is None:
        return []
    changed = sorted(fields)
    undone = [each for each in changed if owner.sets is None or each in owner.sets]
    if not undone:
        return []
    words = " and ".join(f"spec.{each}" for each in undone)
    undoes = "sets it back at its next upgrade" if owner.tool.name == "Helm" else "sets it back when it syncs"
    if len(undone) > 1:
        undoes = undoes.replace(" it back", " them back")
    return [f"{owner.words} applies this object and {undoes}: {owner.tool.change.format(fields=words)}"]
