"""What a command still has to make, in the order of need: "step 2 of 4: building kubectl, 90 s; then installing Flink".

Pure; `progress.py` holds the plan of this process and prints its lines.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing to make: the label that its progress lines have, and whether it is missing (asked again each time)."""

    label: str
    missing: Callable[[], bool]


class Plan:
    """The steps of one command. Steps that nobody planned have lines as well, without a number."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._begun: set[str] = set()

    def expect(self, steps: Iterable[Step]) -> None:
        """Adds those that are missing and not planned yet, in their order."""
        for step in steps:
            if step.missing() and step.label not in [known.label for known in self._steps]:
                self._steps.append(step)

    def begin(self, label: str) -> None:
        """Notes that the step of this label runs, or ran: it is not announced any more."""
        self._begun.add(label)

    def line(self, label: str, detail: str) -> str:
        """What is said of a step: its number, its label, `detail` (how long, how far), and what is left to do after it."""
        labels = [step.label for step in self._steps]
        number = f"step {labels.index(label) + 1} of {len(labels)}: " if label in labels else ""
        left = [step.label for step in self._steps if step.label not in self._begun | {label} and step.missing()]
        return f"{number}{label}, {detail}" + (f"; then {', '.join(left)}" if left else "")
