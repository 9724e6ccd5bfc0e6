"""May we connect there? Every rule of the address guard, as pure functions over text.

`parse_base_url` judges what a hoster wrote, `check_address` judges what its name resolved to. Both must pass,
the second one at every connect, because names change. Text is accepted by what is allowed, never by what is
forbidden: resolvers, `urlsplit` and `ipaddress` disagree about what a string means (`127.1`, tabs in hosts).
"""

import ipaddress
import re
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


HOSTER_URL_CHARS_MAX = 300
PROVIDER_URL_CHARS_MAX = 500  # Server.base_url
HOST_CHARS_MAX = 253
DEFAULT_PORTS = {"http": 80, "https": 443}
PORT_UNPRIVILEGED_MIN = 1_024
# Databases, brokers, container and cluster control, debuggers: what listens there is not a model server.
PORTS_DENIED = frozenset({
    1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5601, 5671, 5672, 5900,
    5984, 5985, 5986, 6379, 6443, 6667, 8009, 8086, 8500, 8600, 9042, 9092, 9200, 9300, 10250, 10255, 11211,
    15672, 26257, 26379, 27017, 27018, 27019, 28017, 50070,
})  # fmt: skip
INTERNAL_SUFFIXES = (
    *("local", "localdomain", "localhost", "internal", "intranet", "lan", "home", "corp", "private"),
    *("home.arpa", "arpa", "onion", "test", "invalid", "example", "alt"),
)
IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")  # the only part of IPv6 that is routed between strangers
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# `is_global` is right about none of these in every Python version, so they are spelled out (IANA registries).
NEVER = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::/32", "fd20:ce::/32"),  # clouds' metadata services
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
PRIVATE = _networks(
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"
)

BASE_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?))"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/.*)?",
    re.ASCII,
)
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # browsers read such a last label as IPv4
PROVIDER_PATH = re.compile(r"(?:/[A-Za-z0-9_.~-]+)*", re.ASCII)


HTTPS_ONLY = (
    "Use https: over http anybody on the way could read prompts and the server's token. "
    "(The operator may allow http with ALLOW_HTTP_HOSTERS=1.)"
)
NOT_PUBLIC = (
    "The server's address is not a public one. "
    "(The operator may allow networks of his own: HOSTER_NETWORKS, ALLOW_PRIVATE_ADDRESSES.)"
)
NOT_PUBLIC_NAME = "This name is known only inside a network. Give a public one, like gpu.your-domain.org."
OWN = "This is NeuralGate's own address. Give the address of your server."


class AddressRefused(Exception):
    """We will not connect there; the words say why and what to write instead, and hold no secret."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows beyond public addresses over https.

    allow_private: loopback and private addresses, names inside, and http (development, one machine).
    allow_http: http to public addresses.
    networks: the operator's own; an address in one of them is allowed, with http too.
    own_hosts: names and addresses of this NeuralGate, which must not be made to call itself; `.name` covers
        its subdomains. Not looked at under allow_private.
    """

    allow_private: bool = False
    allow_http: bool = False
    networks: tuple[IPNetwork, ...] = ()
    own_hosts: frozenset[str] = frozenset()


STRICT = Policy()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server listens. `host` is lower case; an IPv6 address stands in it without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """`https://host[:port]`, with no default port: the one spelling under which it is registered."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def address(self) -> IPAddress | None:
        """The address when the host is one, None when it is a name that must be resolved."""
        return _literal(self.host)


def parse_base_url(text: str, policy: Policy = STRICT) -> Origin:
    """A hoster's base URL as an origin; a trailing `/` or `/v1` is dropped.

    Raises AddressRefused when the syntax, the host, the port or (of a literal) the address is not allowed.
    A name that passes here still needs `check_address` for everything it resolves to.
    """
    origin, path = _parse(text, HOSTER_URL_CHARS_MAX)
    if path.removesuffix("/") not in {"", "/v1"}:
        raise AddressRefused("Give the server's address without a path, like https://gpu.example.org:8443.")
    _check_port(origin)
    if origin.address is None:
        _check_name(origin.host, policy)
    if _is_own(origin.host, policy):
        raise AddressRefused(OWN)
    if origin.address is not None:
        check_address(origin.host, scheme=origin.scheme, policy=policy)
    elif origin.scheme == "http" and not (policy.allow_http or policy.allow_private or policy.networks):
        raise AddressRefused(HTTPS_ONLY)
    return origin


def parse_provider_url(text: str) -> str:
    """A provider's full base URL, path included, without its trailing slash. Only the syntax is checked:
    the operator may send traffic anywhere. Raises AddressRefused."""
    origin, path = _parse(text, PROVIDER_URL_CHARS_MAX)
    path = path.removesuffix("/")
    if PROVIDER_PATH.fullmatch(path) is None or {".", ".."} & set(path.split("/")):
        raise AddressRefused("The path of the base URL may hold letters, digits and - _ . ~ only: /api/v1")
    return f"{origin}{path}"


def check_address(text: str, *, scheme: str, policy: Policy) -> IPAddress:
    """An address, as the resolver or the hoster gave it, to which we may connect by `scheme`.

    Raises AddressRefused. With several answers of a resolver, all of them must pass.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise AddressRefused("The server's address is not an IP address.") from None
    inners = reached_by(address)
    if any(_is_own(str(inner), policy) for inner in inners):
        raise AddressRefused(OWN)
    if all(any(inner in network for network in policy.networks) for inner in inners):
        return address
    if not all(_is_public(inner) or (policy.allow_private and _is_private(inner)) for inner in inners):
        raise AddressRefused(NOT_PUBLIC)
    if scheme != "https" and not (policy.allow_http or policy.allow_private):
        raise AddressRefused(HTTPS_ONLY)
    return address


def reached_by(address: IPAddress) -> tuple[IPAddress, ...]:
    """Where a packet to this address may end up: the IPv4 addresses wrapped in it, or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.scope_id is not None:
        return (ipaddress.IPv6Address("::"),)  # bound to one of our own links: never
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo  # its server and its client
    return (address,)


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in IPV6_GLOBAL:
        return False
    if any(address in network for network in NEVER + PRIVATE):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_private(address: IPAddress) -> bool:
    return any(address in network for network in PRIVATE) and not any(address in network for network in NEVER)


def _parse(text: str, chars_max: int) -> tuple[Origin, str]:
    """Scheme, host and port as an origin, and the path as written. Raises AddressRefused."""
    if len(text) > chars_max:
        raise AddressRefused(f"The base URL is longer than {chars_max} characters.")
    match = BASE_URL.fullmatch(text)
    path = (match["path"] or "") if match else ""
    if match is None or not _is_plain(path):
        raise AddressRefused(_complaint(text))
    scheme = match["scheme"]
    port = int(match["port"] or DEFAULT_PORTS[scheme])
    if port > 65_535:
        raise AddressRefused("The port must be at most 65535.")
    if match["ipv6"]:
        address = _literal(match["ipv6"])
        if address is None:
            raise AddressRefused("What stands between [ and ] is not an IPv6 address.")
        return Origin(scheme, str(address), port), path
    host = match["host"].lower()
    labels = host.split(".")
    if NUMBER_LABEL.fullmatch(labels[-1]):
        if _literal(host) is None:
            raise AddressRefused("Write an IPv4 address as four decimal numbers, or give a name.")
    elif len(host) > HOST_CHARS_MAX or not all(map(_is_label, labels)):
        raise AddressRefused("The host is not a valid name.")
    return Origin(scheme, host, port), path


def _is_plain(path: str) -> bool:
    return path.isascii() and path.isprintable() and not set(path) & set(" ?#\\%@")


def _complaint(text: str) -> str:
    """Words for a base URL that is not understood; it may hold a password and is not repeated."""
    if not text.isascii():
        return "The base URL may hold ASCII characters only; write an international name in its xn-- form."
    if not text.startswith(("https://", "http://")):
        return "The base URL must start with https://, like https://gpu.example.org:8443."
    if "@" in text:
        return "The base URL must not hold a user name or password; give the server's token separately."
    if set(text) & set("?#"):
        return "The base URL must not hold ? or #."
    return "The base URL is not understood. Write it like https://gpu.example.org:8443."


def _is_label(label: str) -> bool:
    """Letters, digits and inner hyphens; Punycode must be the one spelling of what it stands for."""
    if LABEL.fullmatch(label) is None:
        return False
    if not label.startswith("xn--"):
        return True
    try:
        name = label[4:].encode().decode("punycode")
        return not name.isascii() and name.encode("punycode").decode() == label[4:]
    except UnicodeError:
        return False


def _check_port(origin: Origin) -> None:
    if origin.port in PORTS_DENIED or (origin.port != 443 and origin.port < PORT_UNPRIVILEGED_MIN):
        raise AddressRefused(
            f"Port {origin.port} is not allowed. "
            "Let the server listen on 443, or from 1024 on where no other service is usual, like 8080."
        )


def _check_name(host: str, policy: Policy) -> None:
    if policy.allow_private:
        return
    if "." not in host or any(host == suffix or host.endswith(f".{suffix}") for suffix in INTERNAL_SUFFIXES):
        raise AddressRefused(NOT_PUBLIC_NAME)


def _is_own(host: str, policy: Policy) -> bool:
    if policy.allow_private:
        return False
    return host in policy.own_hosts or any(
        own.startswith(".") and f".{host}".endswith(own) for own in policy.own_hosts
    )


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
