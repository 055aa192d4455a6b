"""Requests to what runs on this machine: the functions of httpx, without an environment and without authorities.

For each client httpx would load the certificates of all authorities of the world, which takes 20 to 50 ms of CPU.
"""

from __future__ import annotations

from functools import partial

import httpx

get = partial(httpx.get, verify=False, trust_env=False)
put = partial(httpx.put, verify=False, trust_env=False)
post = partial(httpx.post, verify=False, trust_env=False)
request = partial(httpx.request, verify=False, trust_env=False)
client = partial(httpx.Client, verify=False, trust_env=False)
async_client = partial(httpx.AsyncClient, verify=False, trust_env=False)
