"""Client addresses behind trusted proxies ([ORIGIN-5], [ORIGIN-6])."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers  # the command line reads options without the server extra

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def network(text: str) -> Network:
    """Return the network that an address or a CIDR block names; raises ValueError."""
    return ip_network(text.strip(), strict=False)


def within(address: Address | None, networks: Collection[Network]) -> bool:
    """Whether `address` is known and lies in one of `networks`."""
    return address is not None and any(address in block for block in networks)


def client_address(
    scope: Mapping[str, object], headers: Headers, trusted: Collection[Network]
) -> Address | None:
    """Return the client's address: the first one, seen from the server, that is no trusted hop.

    None when a trusted hop names something that is no address, or the transport has no addresses.
    """
    client = scope.get("client")
    address = _address(str(client[0])) if isinstance(client, tuple | list) else None
    hops = ",".join(headers.getlist("x-forwarded-for")).split(",")
    while within(address, trusted) and hops and hops[-1].strip():
        address = _address(hops.pop())
    return address


def scheme(scope: Mapping[str, object], headers: Headers, trusted: Collection[Network]) -> str:
    """Return `http` or `https` as the client wrote it, told by the trusted hop next to the server if there is one."""
    client = scope.get("client")
    peer = _address(str(client[0])) if isinstance(client, tuple | list) else None
    told = headers.get("x-forwarded-proto", "").strip().lower()
    if within(peer, trusted) and told in {"http", "https"}:
        return told
    own = str(scope["scheme"])
    return {"ws": "http", "wss": "https"}.get(own, own)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    """Return the address in `address`, `address:port` or `[address]:port`; IPv4 in IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
