"""Which hosts may be spoken to: one allow list for Flink clusters, artifacts and everything else a person can name.

Built from the settings; given to the artifact store as `HostRules.check_url` and asked before a cluster is called.
Only names and literal addresses are looked at: nothing is resolved, so a name that resolves to a forbidden address has
to be kept out by a NetworkPolicy. Link-local addresses (the metadata service of clouds) are refused unless listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from flinkjob.core.errors import Invalid

METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
"""Names under which clouds offer credentials of the machine."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class HostRules:
    """An allow list; empty allows every host but link-local ones."""

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, patterns: Sequence[str]) -> "HostRules":
        """From `flink.example.com`, `*.example.com`, `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`.

        Raises:
            ValueError: a pattern is none of these.
        """
        names, suffixes, networks = set[str](), [], []
        for pattern in patterns:
            text = pattern.lower().rstrip(".")
            try:
                networks.append(ip_network(text))
                continue
            except ValueError:
                if "/" in text or ":" in text:
                    raise ValueError(f"{pattern!r} is no address, network, host or *.domain") from None
            if text.startswith("*.") and "*" not in text[2:] and len(text) > 2:
                suffixes.append(text[1:])
            elif text and "*" not in text and not any(character.isspace() for character in text):
                names.add(text)
            else:
                raise ValueError(f"{pattern!r} is no address, network, host or *.domain")
        return cls(frozenset(names), tuple(suffixes), tuple(networks))

    def check_url(self, url: str) -> None:
        """Checks the host of a URL.

        Raises:
            Invalid: the host is missing or not allowed; the message names it alone.
        """
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        if not host:
            raise Invalid("the URL has no host")
        self.check_host(host)

    def check_host(self, host: str) -> None:
        """Checks a host name or literal address. Raises `Invalid` as `check_url` does."""
        name = host.lower().strip("[]").rstrip(".")
        address = _address(name)
        if not self._listed(name, address):
            raise Invalid(f"host {name} is not allowed")

    def _listed(self, name: str, address: Address | None) -> bool:
        if address is not None and any(address in network for network in self.networks):
            return True
        if name in self.names or (address is None and name.endswith(self.suffixes)):
            return True
        return self._open and not _is_metadata(name, address)

    @property
    def _open(self) -> bool:
        return not (self.names or self.suffixes or self.networks)


def _address(name: str) -> Address | None:
    """The literal address; None for a name.

    Raises:
        Invalid: an address in a spelling (`2852039166`, `0xa9.254.1`) that only resolvers understand: it would pass as a
            name and reach what is forbidden.
    """
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        last = name.rpartition(".")[2]
        if last.isdigit() or last.startswith("0x"):
            raise Invalid(f"host {name} is neither a name nor a usual address") from None
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_metadata(name: str, address: Address | None) -> bool:
    return name in METADATA_NAMES or (address is not None and address.is_link_local)
