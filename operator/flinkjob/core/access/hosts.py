"""Which hosts may be connected to: one allow list for Flink clusters, artifacts and everything else a person can name.

Built from the settings; given to the artifact store as `HostRules.check_url` and asked before a cluster is called. Names are
checked as they are written, and once more, by `check_address`, each address that they resolve to when it is connected to.
Link-local addresses, the metadata services of clouds and loopback are refused unless they are listed or allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from flinkjob.core.errors import Invalid

METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
        "metadata.platformequinix.com",
    }
)
"""Names under which clouds offer credentials of the machine."""

METADATA_ADDRESSES = frozenset(
    {"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"}
)
"""Addresses of such services that are not link-local."""

_CARRYING_IPV4 = (ip_network("::/96"), ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
"""Networks of IPv6 whose last 32 bits are an address of IPv4: compatible addresses, and translation (NAT64)."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class HostRules:
    """An allow list; empty allows every host but link-local, metadata and loopback ones.

    Attributes:
        loopback: whether this machine itself may be connected to, list or no list.
    """

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    loopback: bool = False

    @classmethod
    def of(cls, patterns: Sequence[str], *, loopback: bool = False) -> "HostRules":
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
        return cls(frozenset(names), tuple(suffixes), tuple(networks), loopback)

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

    def check_address(self, text: str) -> None:
        """Checks an address that an allowed name has resolved to.

        Raises:
            Invalid: it is link-local, of a metadata service or of this machine, and no listed network holds it.
        """
        address = _address(text)
        assert address is not None, "not an address"
        if any(address in network for network in self.networks) or (self.loopback and _is_loopback("", address)):
            return
        if _is_metadata("", address) or _is_loopback("", address):
            raise Invalid(f"address {address} is not allowed")

    def _listed(self, name: str, address: Address | None) -> bool:
        if _is_loopback(name, address) and self.loopback:
            return True
        if address is not None and any(address in network for network in self.networks):
            return True
        if name in self.names or (address is None and name.endswith(self.suffixes)):
            return True
        return self._open and not _is_metadata(name, address) and not _is_loopback(name, address)

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
    if address is None:
        return name in METADATA_NAMES
    return any(each.is_link_local or str(each) in METADATA_ADDRESSES for each in _leads_to(address))


def _is_loopback(name: str, address: Address | None) -> bool:
    """This machine; the unspecified address connects to it too."""
    if address is None:
        return name == "localhost" or name.endswith(".localhost")
    return any(each.is_loopback or each.is_unspecified for each in _leads_to(address))


def _leads_to(address: Address) -> tuple[Address, ...]:
    """The address, and those of IPv4 that packets to it may reach: it carries them in itself."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _CARRYING_IPV4):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return (address, *(each for each in inner if each is not None))
