"""Where the ports of a run are reached: by programs of this machine, and by others in its network."""

from __future__ import annotations

import ipaddress
import socket

import psutil

ANY_ADDRESS = {
    "0.0.0.0": "127.0.0.1",
    "::": "::1",
}  # every address of this machine -> the one by which it reaches itself
REMOTE_ADDRESS = {
    socket.AF_INET: "192.0.2.1",
    socket.AF_INET6: "2001:db8::1",
}  # far away, and never there (RFC 5737, 3849)


def from_here(host: str) -> str:
    """How this machine reaches a port that is bound to `host`."""
    return ANY_ADDRESS.get(host, host)


def at(host: str, port: int) -> str:
    """`host:port`, as it is written in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, can be reached from this machine only."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_ours(host: str) -> bool:
    """Whether an address, as it is written, is one of this machine's."""
    return is_loopback(host) or host in _addresses(socket.AF_INET6 if ":" in host else socket.AF_INET)


def from_others(host: str) -> list[str]:
    """Under which addresses others reach a port that is bound to `host`, the one most likely to work first.

    Empty for loopback, and where there is no network.
    """
    if host not in ANY_ADDRESS:
        return [] if is_loopback(host) else [host]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = [address for address in _addresses(family) if _is_reachable(address)]
    return sorted(found, key=lambda address: address != _outgoing(family))


def _addresses(family: socket.AddressFamily) -> list[str]:
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    networks = psutil.net_if_addrs().items()
    return [one.address for name, several in networks if name in up for one in several if one.family == family]


def _is_reachable(address: str) -> bool:
    if "%" in address:  # an address of one cable, which a browser does not take
        return False
    read = ipaddress.ip_address(address)
    return not (read.is_loopback or read.is_link_local)


def _outgoing(family: socket.AddressFamily) -> str:
    """The address from which this machine talks to the world. Nothing is sent to find out."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((REMOTE_ADDRESS[family], 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
