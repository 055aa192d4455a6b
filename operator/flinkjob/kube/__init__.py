"""Everything the operator says to the Kubernetes API server.

The only importer of the `kubernetes` package (its asyncio side). Watching is not here: Kopf does that, in `handlers`.
"""
