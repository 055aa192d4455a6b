"""Waiting for what lets a replica work: the Lease of a single leader, or a seat among those that share the clusters out.

Called by `app` before anything is watched. Invariants: from then on every request that changes something is refused unless
the Lease is fresh; it is given back after all that may have effects has ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack

from flinkjob.kube.client import KubeClient
from flinkjob.runtime.leader import Leadership
from flinkjob.runtime.membership import Membership


async def lead(
    client: KubeClient,
    namespace: str,
    name: str,
    shards: int,
    ask_before_writes: Callable[[Callable[[], None]], None],
    stack: AsyncExitStack,
) -> Leadership | Membership:
    """Wait until this process may work.

    Args:
        client: with connections of its own.
        namespace, name: of the Lease of the operator.
        shards: 1: one replica leads. More: this replica has a seat. Losing either ends the process at once.
        stack: on which giving back is put.
    """
    holder = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    if shards > 1:
        member = Membership(client, namespace=namespace, name=name, shards=shards, holder=holder)
        ask_before_writes(member.require)
        stack.push_async_callback(member.release)
        await member.join()
        member.start(lambda: os._exit(1))
        return member
    leadership = Leadership(client, namespace=namespace, name=name, holder=holder)
    ask_before_writes(leadership.require)
    await leadership.acquire()
    keeping = asyncio.create_task(leadership.keep(lambda: os._exit(1)), name="lease")
    stack.push_async_callback(leadership.release)
    stack.callback(keeping.cancel)
    return leadership
