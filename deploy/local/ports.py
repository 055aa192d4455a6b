"""Free TCP ports of this machine.

They are taken below the range that the kernel uses for outgoing connections, at random, so that environments which
start at the same time do not meet.
"""

import contextlib
import random
import socket

_RANGE = range(15_000, 32_000)
_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now, never given twice by this process.

    Raises:
        OSError: no port was free in many attempts.
    """
    for _ in range(1_000):
        port = random.choice(_RANGE)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            _given.add(port)
            return port
    raise OSError(f"no free port on {host} between {_RANGE.start} and {_RANGE.stop}")
