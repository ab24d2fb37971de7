"""Where a webhook may point: its form, and which addresses are outside. No I/O; asking for names is `webhook_actions`."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hub.platform.error import ErrorCode, Refusal

MOST_LENGTH = 2048

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
# Matched whole instead of parsed, because parsers differ about backslashes, tabs and '@', and what differs gets in.
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>[1-9]\d{{0,4}}))?"
    r"(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?",
    re.IGNORECASE,
)
# RFC 6052, section 2.1: an IPv4 address behind a translator is in the last 32 bits.
_TRANSLATED = ip_network("64:ff9b::/96")
# Of the IANA registries of special-purpose addresses, what `is_global` of Python 3.11 lets pass.
# 168.63.129.16 is in none: Azure answers its machines there.
_SPECIAL = tuple(ip_network(each) for each in ("192.0.0.0/24", "168.63.129.16/32", "3fff::/20", "fec0::/10"))


def checked_url(url: str, *, private: bool) -> tuple[str, int]:
    """Host and port. Refused unless it is https, or http where `private` allows what is inside the network."""
    match = _URL.fullmatch(url) if len(url) <= MOST_LENGTH else None
    if match is None:
        raise Refusal(ErrorCode.INVALID, fields={"url": "webhook_url_invalid"})
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"] or (443 if scheme == "https" else 80))
    if port > 65535 or (scheme == "http" and not private):
        raise Refusal(ErrorCode.INVALID, fields={"url": "webhook_url_invalid"})
    return host, port


def is_outside(address: str) -> bool:
    """Whether a machine with this address is anywhere in the world, and not in this network, on this machine, or its cloud's.

    100.64.0.0/10 is not: some clouds answer questions for credentials there.
    """
    try:
        found = _meant(ip_address(address))
    except ValueError:
        return False
    special = found.is_multicast or found.is_reserved or any(found in network for network in _SPECIAL)
    return found.is_global and not special


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one leads to, where it does."""
    if not isinstance(address, IPv6Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
