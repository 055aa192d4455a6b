"""Free TCP ports of this machine.

They are taken below the range that the kernel uses for outgoing connections, at random, so that environments which
start at the same time hardly meet. A port that is given may be bound seconds later: runs that start very many at the same
time, such as the workers of the tests, have shares of the range, and never meet.
"""

import contextlib
import os
import random
import socket

_RANGE = range(15_000, 32_000)
SHARE = "FLINKJOB_PORTS"
"""Environment variable: `first-last`, both of them included, where this process has a share of the range."""
_given: set[int] = set()


def share_of(number: int, count: int) -> str:
    """The value of `SHARE` for one, counted from 0, of so many that run side by side."""
    size = len(_RANGE) // count
    own = _RANGE[number * size : (number + 1) * size]
    return f"{own[0]}-{own[-1]}"


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now, never given twice by this process.

    Raises:
        OSError: no port was free in many attempts.
    """
    first, _, last = os.environ.get(SHARE, "").partition("-")
    ports = range(int(first), int(last) + 1) if last else _RANGE
    for _ in range(1_000):
        port = random.choice(ports)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            _given.add(port)
            return port
    raise OSError(f"no free port on {host} between {ports.start} and {ports.stop}")
