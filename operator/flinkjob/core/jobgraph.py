"""A job's graph as Flink plans it: its vertices, each a chain of operators, how many subtasks each has, and what feeds it.

Used by the REST client, which makes these, and by the decision about another parallelism. Invariant: two graphs with the same
structure have the same operators in the same chains, since Flink names a vertex after the first operator of its chain and
after those that it chains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class TopologyVertex:
    """A vertex of a job graph.

    Attributes:
        inputs: the vertices before it, and how records come from there.
    """

    vertex_id: str
    description: str
    parallelism: int
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """The job graph of a compiled program, or of a job.

    Attributes:
        elastic: whether the job's scheduler can change the numbers while it runs.
    """

    name: str
    vertices: tuple[TopologyVertex, ...] = ()
    elastic: bool = False

    @property
    def numbers(self) -> dict[str, int]:
        """The parallelism of each vertex, by its id."""
        return {vertex.vertex_id: vertex.parallelism for vertex in self.vertices}

    @property
    def largest(self) -> int:
        """So many slots the job needs where its vertices share them, as they do unless the program says otherwise."""
        return max((vertex.parallelism for vertex in self.vertices), default=0)

    @property
    def words(self) -> str:
        """Its numbers for people: one where all are the same, else the least and the largest."""
        least = min((vertex.parallelism for vertex in self.vertices), default=0)
        return str(least) if least == self.largest else f"{least} to {self.largest}"

    def same_structure(self, other: Topology) -> bool:
        """Whether both have the same chains with the same connections, whatever the numbers."""
        mine, theirs = ({(each.vertex_id, each.inputs) for each in plan.vertices} for plan in (self, other))
        return mine == theirs

    def bounded_by(self, bounds: Mapping[str, ParallelismBounds]) -> Topology:
        """That of a running job whose scheduler was given these bounds; while it waits for slots, it has nothing else."""
        known = {vertex.vertex_id: vertex for vertex in self.vertices}
        vertices = (
            replace(
                known.get(vertex, TopologyVertex(vertex_id=vertex, description="", parallelism=0)),
                parallelism=each.upper,
            )
            for vertex, each in bounds.items()
        )
        return replace(self, vertices=tuple(vertices), elastic=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelismBounds:
    """Parallelism that the adaptive scheduler may give a vertex."""

    lower: int
    upper: int
