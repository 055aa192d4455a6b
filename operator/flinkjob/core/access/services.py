"""Which Services a host name may lead to, by its form and by the search list of the operator's Pod.

Used by `runtime.services`, which asks whom they allow. Cluster DNS leads to a Service by NAME.NAMESPACE.svc, with the
cluster's domain behind it or not, and to one of its Pods by a label before it; these are known by their form. Shorter names
(`flink`, `flink.streaming`) lead there through the search list; whether they do, DNS says, so that `example.com` stays what
it is. An address (10.0.0.7), and a name that others made for a Service, are not recognised: those are for the list of allowed
hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

USUAL_DOMAIN: Final = "cluster.local"


class Service(NamedTuple):
    """A Service that a name leads to."""

    namespace: str
    name: str


class ServiceNames:
    """Knows the Services that names may lead to."""

    def __init__(self, search: Sequence[str]) -> None:
        """
        Args:
            search: the domains in which short names are looked for, see `search_list`.
        """
        self._search = tuple(search)
        self._domains = _cluster_domains(search)

    def of(self, host: str) -> Iterable[tuple[Service, str]]:
        """The Services that a host may be; with the whole name where only DNS knows whether it is."""
        if _is_address(host):
            return
        if (service := self._of(host.rstrip("."))) is not None:
            yield service, ""
        elif not host.endswith("."):
            for domain in self._search:
                if (service := self._of(f"{host}.{domain}")) is not None:
                    yield service, f"{host}.{domain}."

    def _of(self, name: str) -> Service | None:
        """The Service of [POD.]NAME.NAMESPACE.svc[.DOMAIN]; behind `svc` any domain counts where the own is not known."""
        labels = name.split(".")
        for at in range(len(labels) - 1, 1, -1):
            domain = ".".join(labels[at + 1 :])
            known = domain in ("", USUAL_DOMAIN, *self._domains) or not self._domains
            if labels[at] == "svc" and known and labels[at - 1] and labels[at - 2]:
                return Service(labels[at - 1], labels[at - 2])
        return None


def search_list(text: str) -> tuple[str, ...]:
    """The domains in which a resolver looks for short names: the last `search` line of resolv.conf's text."""
    found: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in ("search", "domain"):
            found = tuple(word.lower().strip(".") for word in words[1:] if word.strip("."))
    return found


def _cluster_domains(search: Iterable[str]) -> frozenset[str]:
    """The cluster's domain, from `NAMESPACE.svc.DOMAIN` and `svc.DOMAIN` in the search list of a Pod."""
    found = set()
    for name in search:
        labels = name.split(".")
        for at in (0, 1):
            if labels[at : at + 1] == ["svc"] and labels[at + 1 :]:
                found.add(".".join(labels[at + 1 :]))
    return frozenset(found)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return not host
    return True
