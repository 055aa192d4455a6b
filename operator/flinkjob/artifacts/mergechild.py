"""The process that makes one jar: `python -m flinkjob.artifacts.mergechild`, started by `build`.

What jars contain cannot be bounded before they are read. So they are read in a process of its own, with limits for its
memory, its time and what it writes. Its order comes on standard input, its answer is one line of JSON on standard output.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.artifacts.merge import File, Part, Python, Text, merge


def main() -> None:
    """Make what is ordered; ends the process."""
    order = json.load(sys.stdin)
    for limit in ("AS", "CPU", "FSIZE"):
        number = getattr(resource, f"RLIMIT_{limit}")
        resource.setrlimit(number, (order["limits"][limit], order["limits"][limit]))
    print(json.dumps(made(order)), flush=True)


def made(order: dict[str, Any]) -> dict[str, str]:
    """The answer: what to know of the jar, or why there is none, or none now."""
    try:
        note = merge(
            Path(order["target"]),
            [Part(Path(path), name) for path, name in order["jars"]],
            runner=Path(order["runner"]) if order["runner"] is not None else None,
            script=[Text(text, name) for text, name in order["script"]],
            python=_python(order["python"]),
        )
    except ArtifactInvalid as error:
        return {"reason": error.reason, "message": error.message}
    except MemoryError:
        return {"reason": "too-large", "message": "jar: the jars have too many files, or names that are too long"}
    except OSError as error:
        return {"later": "no-room", "message": f"jar: no room where it is made: {error.strerror}"}
    return {"note": note}


def _python(order: dict[str, Any] | None) -> Python | None:
    if order is None:
        return None
    files = [File(Path(path) if path is not None else text, name) for path, text, name in order["files"]]
    return Python(Path(order["runner"]), files, order["main"])


if __name__ == "__main__":
    main()
