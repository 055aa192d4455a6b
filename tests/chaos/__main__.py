"""`make chaos`: bounded chaos on real components, with a summary; exit code 1 when anything was violated."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.mischief import Mischief
from tests.chaos.world import World


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long mischief is done")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="keep the logs and files")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="flinkjob-chaos-"))
    world = World(directory, jobs=options.jobs, seed=options.seed)
    say(f"seed {options.seed}, {options.jobs} jobs, {options.seconds:.0f} s, files in {directory}")
    violations: list[str] = []
    try:
        world.start()
        mischief = Mischief(world)
        violations = rampage(world, mischief, options.seconds)
        say("no more mischief; every job shall run under its last spec")
        mischief.recover()
        world.settle()
        say("all run; suspending them and counting")
        world.suspend()
        violations += world.violations()
        summarise(world, mischief, violations)
    except Exception as error:  # noqa: BLE001 - anything that goes wrong here is a result
        violations.append(f"{type(error).__name__}: {error}")
        say(f"FAILED: {violations[-1]}")
    finally:
        world.stop()
        if not options.keep and not violations:
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if violations else 0


def rampage(world: World, mischief: Mischief, seconds: float) -> list[str]:
    """Do mischief for so many seconds; what was violated meanwhile."""
    violations, begun, told = [], time.monotonic(), 0.0
    while (spent := time.monotonic() - begun) < seconds:
        name = mischief.act()
        if doubled := world.two_live():
            violations.append(f"two live jobs after {name}: {doubled}")
        if spent - told >= 20:
            told = spent
            say(f"{spent:4.0f} s: {sum(mischief.done.values())} pieces of mischief, last {name}")
        time.sleep(world.random.uniform(0.5, 4.0))
    return violations


def summarise(world: World, mischief: Mischief, violations: list[str]) -> None:
    """Print what was done and what came of it."""
    print("\nfaults and edits")
    for name, count in sorted(mischief.done.items()):
        print(f"  {name:20} {count:4}")
    print("jobs")
    for victim in world.victims:
        counted = world.counted(victim)
        number = world.lab.get(victim.name)["status"]["submission"]["number"]
        print(
            f"  {victim.name:10} runs {number:3}  edits {victim.edits:3}  savepoints asked for {victim.savepoints:3}  "
            f"records {counted.total} of {counted.total + len(counted.missing)}  doubled {len(counted.doubled)}"
        )
    print(f"violations {len(violations)}")
    for violation in violations:
        print(f"  {violation}")


def say(text: str) -> None:
    """Show progress."""
    print(f"[chaos] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
