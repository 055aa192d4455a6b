"""Writing one object of a store to a file of this machine: the jar or script of a program.

Used by `child`. Invariants: nothing is written before there is room for all of it, and never more than the store has
announced; of what is known already nothing is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import NotModifiedError

from flinkjob.core.errors import Transient
from flinkjob.snapshots.orders import FetchOrder, ObjectFetched, TooLarge
from flinkjob.snapshots.outcomes import CopyProgress
from flinkjob.snapshots.reading import chunks_of
from flinkjob.snapshots.stores import open_store, store_errors

if TYPE_CHECKING:
    from obstore import GetOptions


async def fetch_object(
    order: FetchOrder, *, room: Callable[[int], Awaitable[object]], progress: CopyProgress
) -> ObjectFetched:
    """Write the object.

    Args:
        room: called with its length before anything is written; raises where there is none.
        progress: is kept up to date.

    Raises:
        TooLarge: it has more bytes than are allowed.
        Invalid, Rejected, Transient: as `open_store` and `store_errors`; one that was cut off is Transient.
    """
    store = open_store(order.source, create=False)
    with store_errors(order.name):
        try:
            known: GetOptions = {"if_none_match": order.version} if order.version is not None else {}
            got = await obstore.get_async(store, order.name, options=known)
        except NotModifiedError:
            return ObjectFetched(version=order.version, unchanged=True)
        size = got.meta["size"]
        if size > order.most:
            raise TooLarge(f"{order.name} has {size} bytes, more than the {order.most} that are allowed")
        await room(size)
        with await asyncio.to_thread(Path(order.file).open, "wb") as file:
            async for chunk in chunks_of(got, order.name):
                await asyncio.to_thread(file.write, chunk)
                progress.bytes += len(chunk)
    if progress.bytes != size:
        raise Transient("store", f"{order.name} was cut off after {progress.bytes} of {size} bytes")
    return ObjectFetched(version=got.meta["e_tag"])
