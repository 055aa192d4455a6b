"""Shapes of Flink's answers about jars, programs and the parallelism of their vertices.

Used by: `jars.py` and `rescale.py`. Invariants as in `wire.py`: unknown fields ignored, `value()` is the way out.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flinkjob.core import flinkmodel as model
from flinkjob.core import jobgraph
from flinkjob.flink.wire import Time


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Entry(_Wire):
    """A class with a `main` that the manifest names."""

    name: str


class Jar(_Wire):
    """An entry of `GET /jars`."""

    id: str
    name: str
    uploaded: Time = None
    entry: tuple[Entry, ...] = ()

    def value(self) -> model.JarFile:
        """The domain value."""
        return model.JarFile(
            id=self.id,
            name=self.name,
            uploaded=self.uploaded,
            entry_classes=tuple(entry.name for entry in self.entry),
        )


class Jars(_Wire):
    """`GET /jars`."""

    files: tuple[Jar, ...]


class Uploaded(_Wire):
    """Answer to an upload: a path on the JobManager whose last part is the jar's id."""

    filename: str


class Submitted(_Wire):
    """Answer to a run."""

    jobid: str


class Input(_Wire):
    """What feeds a node of a plan."""

    num: int = 0
    id: str
    ship_strategy: str = ""
    exchange: str = ""


class Vertex(_Wire):
    """A node of a plan."""

    id: str
    description: str = ""
    parallelism: int = 1
    inputs: tuple[Input, ...] = ()


class JobGraph(_Wire):
    """`plan` of `POST /jars/:id/plan`."""

    name: str = ""
    nodes: tuple[Vertex, ...] = ()


class Planned(_Wire):
    """Answer of `POST /jars/:id/plan` and of `GET /jobs/:id/plan`."""

    plan: JobGraph

    def value(self) -> jobgraph.Plan:
        """The domain value."""
        vertices = (
            jobgraph.PlanVertex(
                vertex_id=node.id,
                description=node.description,
                parallelism=node.parallelism,
                inputs=tuple(
                    f"{each.num} {each.id} {each.ship_strategy} {each.exchange}"
                    for each in sorted(node.inputs, key=lambda each: (each.num, each.id))
                ),
            )
            for node in self.plan.nodes
        )
        return jobgraph.Plan(name=self.plan.name, vertices=tuple(vertices))


class Bounds(_Wire):
    """Least and most subtasks of a vertex."""

    lower: Annotated[int, Field(alias="lowerBound")]
    upper: Annotated[int, Field(alias="upperBound")]


class Requirement(_Wire):
    """What a vertex asks for."""

    parallelism: Bounds

    def value(self) -> jobgraph.ParallelismBounds:
        """The domain value."""
        return jobgraph.ParallelismBounds(lower=self.parallelism.lower, upper=self.parallelism.upper)
