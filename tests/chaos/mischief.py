"""What is done to the world: processes killed, specs changed, savepoints asked for.

Used by `tests.chaos`. Each piece of mischief is one method of `Mischief`, named after itself; none of them waits for the
operator to be done with the one before.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable

from deploy.local.processes import ProcessFailed
from tests.chaos.world import Victim, World
from tests.support.kube import Refused


class Mischief:
    """Random faults and edits, counted by kind."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: Counter[str] = Counter()
        self._kinds: list[tuple[Callable[[], None], int]] = [
            (self.kill_operator, 4),
            (self.kill_jobmanager, 2),
            (self.kill_taskmanager, 2),
            (self.kill_apiserver, 2),
            (self.change_arguments, 4),
            (self.change_parallelism, 2),
            (self.suspend, 2),
            (self.resume, 4),
            (self.ask_for_savepoint, 3),
        ]

    def act(self) -> str:
        """Do one thing, chosen at random; its name."""
        kinds, weights = zip(*self._kinds, strict=True)
        chosen = self.world.random.choices(kinds, weights)[0]
        name = chosen.__name__
        with contextlib.suppress(Refused):
            chosen()
        self.done[name] += 1
        return name

    # faults

    def kill_operator(self) -> None:
        self.world.operator.kill()
        self._pause(0.0, 2.0)
        self.world.operator.start()

    def kill_jobmanager(self) -> None:
        self.world.environment.flink.restart_jobmanager(kill=True)

    def kill_taskmanager(self) -> None:
        flink = self.world.environment.flink
        flink.kill_taskmanager(self.world.random.choice(sorted(flink.taskmanagers)))
        flink.add_taskmanager(wait=False)

    def kill_apiserver(self) -> None:
        control_plane = self.world.environment.controlplane
        control_plane.stop_apiserver()
        self._pause(0.0, 3.0)
        control_plane.start_apiserver()
        if not self.world.operator.running:
            self.world.operator.start()

    # edits

    def change_arguments(self) -> None:
        victim = self._victim()
        rate = str(self.world.random.choice((40, 50, 60, 80)))
        args = ["--rate", rate, "--out", str(self.world.lab.out(victim.name))]
        self._edit(victim, args=args)

    def change_parallelism(self) -> None:
        self._edit(self._victim(), parallelism=self.world.random.choice((1, 2, 3)))

    def suspend(self) -> None:
        self._edit(self._victim(), state="Suspended")

    def resume(self) -> None:
        self._edit(self._victim(), state="Running")

    def ask_for_savepoint(self) -> None:
        victim = self._victim()
        victim.savepoints += 1
        lab = self.world.lab
        lab.kube.apply(lab.savepoint(f"{victim.name}-{victim.savepoints}", victim.name, timeout="60s"))

    # helpers

    def recover(self) -> None:
        """Bring back whatever is down."""
        if not self.world.operator.running:
            self.world.operator.start()
        with contextlib.suppress(ProcessFailed):
            self.world.environment.flink.wait_slots(60)
        self.world.operator.wait_ready()

    def _victim(self) -> Victim:
        return self.world.random.choice(self.world.victims)

    def _edit(self, victim: Victim, **spec: object) -> None:
        victim.manifest = self.world.lab.edit(victim.manifest, **spec)
        victim.edits += 1

    def _pause(self, least: float, most: float) -> None:
        time.sleep(self.world.random.uniform(least, most))
