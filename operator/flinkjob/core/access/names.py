"""What to write instead of a host name that DNS does not know: by the form of the name.

Used by `net` where a name is resolved, so that every address of a person's has it: of a cluster, an artifact, a store.
"""


def advice(host: str) -> str:
    """What a person can do about a name that leads nowhere, in a few words."""
    labels = host.rstrip(".").split(".")
    if "svc" in labels[2:4]:
        at = labels.index("svc", 2)
        return f"is there a Service {labels[at - 2]} in namespace {labels[at - 1]}?"
    if len(labels) < 3 and not host.endswith("."):
        return "for a Service write NAME.NAMESPACE.svc, for another host its full name"
    return "is the name right, and known to the DNS that the operator uses?"
