"""Listens outside of a node's network namespace and connects inside: the way to its API server.

Started by `deploy.local.node` as a script. Arguments: a process id in the namespace, the port to listen on and the port to
connect to, both on 127.0.0.1.
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
CHUNK = 65536


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _serve(listening: socket.socket, port: int) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.close()
        writer.close()

    async with await asyncio.start_server(accept, sock=listening) as server:
        await server.serve_forever()


def main() -> None:
    """Opens the listening socket first, since entering the namespace cannot be undone."""
    process, outer, inner = map(int, sys.argv[1:4])
    listening = socket.create_server(("127.0.0.1", outer))
    namespace = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    asyncio.run(_serve(listening, inner))


if __name__ == "__main__":
    main()
