"""Everything the operator and its command line say to the Kubernetes API server.

The only importer of the `kubernetes` package (its asyncio side). Watching is not here: Kopf does that, in `handlers`.
`client` is how the operator sees the API server, `user` how a person does who runs the command line.
"""
