"""How the C library treats the large blocks that copies need.

Called once by `app`, before a store is used. Invariant: nothing but the memory that the process keeps depends on it.
"""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's malloc.h."""
_BLOCK = 4 * 1024 * 1024


def give_blocks_back() -> bool:
    """Have blocks of 4 MiB and more given back to the system as soon as they are free; whether the C library can.

    Otherwise glibc raises that limit to the largest block that was freed, and from then on keeps the parts of objects in the
    heap of each thread: three times as much as is ever in use, for good.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    return tune is not None and bool(tune(_MMAP_THRESHOLD, _BLOCK))
