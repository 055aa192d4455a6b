"""Shapes of Flink's answers about jars, programs and their vertices: parallelism, names, state.

Used by: `jars.py`, `rescale.py`, `jobs.py` and `snapshots.py`. Invariants as in `wire.py`: unknown fields ignored,
`value()` is the way out.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from flinkjob.core import flinkmodel as model
from flinkjob.core import jobgraph
from flinkjob.flink.values import Count, Few, First, Many, Name, Number, Shape, Time, Trace, Word

Path = Annotated[str, Field(max_length=4096)]
"""A path, or the name of a file; an answer with a longer one is none of Flink's."""


class Entry(Shape):
    """A class with a `main` that the manifest names."""

    name: Name


class Jar(Shape):
    """An entry of `GET /jars`."""

    id: Path
    name: Path
    uploaded: Time = None
    entry: First[Entry] = ()

    def value(self) -> model.JarFile:
        """The domain value."""
        return model.JarFile(
            id=self.id,
            name=self.name,
            uploaded=self.uploaded,
            entry_classes=tuple(entry.name for entry in self.entry),
        )


class Jars(Shape):
    """`GET /jars`."""

    files: tuple[Any, ...]
    """Each is a `Jar`."""


class Uploaded(Shape):
    """Answer to an upload: a path on the JobManager whose last part is the jar's id."""

    filename: Path


class Submitted(Shape):
    """Answer to a run."""

    jobid: Word


class Input(Shape):
    """What feeds a node of a plan."""

    num: Count = 0
    id: Word
    ship_strategy: Word = ""
    exchange: Word = ""


class Vertex(Shape):
    """A node of a plan."""

    id: Word
    description: Trace = ""
    parallelism: Count = 1
    inputs: Few[Input] = ()

    def value(self) -> jobgraph.TopologyVertex:
        """The domain value."""
        inputs = sorted(self.inputs, key=lambda each: (each.num, each.id))
        return jobgraph.TopologyVertex(
            vertex_id=self.id,
            description=self.description,
            parallelism=self.parallelism,
            inputs=tuple(f"{each.num} {each.id} {each.ship_strategy} {each.exchange}" for each in inputs),
        )


class JobGraph(Shape):
    """`plan` of `POST /jars/:id/plan`."""

    name: Name = ""
    nodes: tuple[Any, ...] = ()
    """Each is a `Vertex`."""


class Planned(Shape):
    """Answer of `POST /jars/:id/plan` and of `GET /jobs/:id/plan`."""

    plan: JobGraph

    def value(self, vertices: Iterable[jobgraph.TopologyVertex]) -> jobgraph.Topology:
        """The domain value.

        Args:
            vertices: the values of the nodes.
        """
        return jobgraph.Topology(name=self.plan.name, vertices=tuple(vertices))


class Bounds(Shape):
    """Least and most subtasks of a vertex."""

    lower: Annotated[Count, Field(alias="lowerBound")]
    upper: Annotated[Count, Field(alias="upperBound")]


class Requirement(Shape):
    """What a vertex asks for."""

    parallelism: Bounds

    def value(self) -> jobgraph.ParallelismBounds:
        """The domain value."""
        return jobgraph.ParallelismBounds(lower=self.parallelism.lower, upper=self.parallelism.upper)


def _few(value: Any) -> Any:
    """Refuses a mapping with more entries than a job has vertices: each wrong one would make an error."""
    if isinstance(value, dict) and len(value) > _MOST_VERTICES:
        raise ValueError(f"more than {_MOST_VERTICES} entries")
    return value


_MOST_VERTICES = 10_000
Requirements = Annotated[dict[Word, Requirement], BeforeValidator(_few)]
"""`GET /jobs/:id/resource-requirements`, by vertex."""


class NamedVertex(Shape):
    """A vertex of a job."""

    id: Word
    name: Name = ""


class NamedVertices(Shape):
    """`GET /jobs/:id`, of which only the vertices are of use here."""

    vertices: Many[NamedVertex] = ()


class VertexShare(Shape):
    """What a snapshot holds of a vertex."""

    state_size: Number = None


class CheckpointDetails(Shape):
    """`GET /jobs/:id/checkpoints/details/:n`."""

    checkpoint_type: Word = ""
    tasks: Annotated[dict[Word, VertexShare], BeforeValidator(_few)] = Field(default_factory=dict)

    def value(self) -> model.CheckpointDetails:
        """The domain value."""
        return model.CheckpointDetails(
            vertex_bytes={vertex: share.state_size or 0 for vertex, share in self.tasks.items()},
            aligned=self.checkpoint_type != _UNALIGNED,
        )


_UNALIGNED = "UNALIGNED_CHECKPOINT"
