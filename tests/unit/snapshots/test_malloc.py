"""The memory of a copy is given back."""

import os
import subprocess
import sys

import pytest

from flinkjob.snapshots.malloc import give_blocks_back

SCRIPT = """
import ctypes
from flinkjob.snapshots.malloc import give_blocks_back
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
give_blocks_back()
size, before = 8 << 20, resident()
for _ in range(3):
    blocks = [libc.malloc(size) for _ in range(8)]
    pins = [libc.malloc(1 << 20) for _ in range(8)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(block)
print(resident() - before)
"""


def test_large_blocks_are_given_back() -> None:
    if not give_blocks_back():
        pytest.skip("not with this C library")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True, timeout=60)
    assert int(done.stdout) < 8 << 20
