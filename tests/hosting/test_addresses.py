"""The address guard against every vector of tests/data/ssrf.txt, and against what must stay possible."""

import ipaddress
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting import addresses
from hosting.addresses import AddressRefused, Policy, check_address, parse_base_url, parse_provider_url

OWN = Policy(own_hosts=frozenset({"gate.good.com", ".gate.good.com", "9.9.9.9"}))
PRIVATE = Policy(allow_private=True)


def vectors() -> list[str]:
    file = Path(__file__).parent.parent / "data" / "ssrf.txt"
    return [line for line in file.read_text().split("\n") if line and not line.startswith("#")]


def unescaped(line: str) -> str:
    line = line.replace("\\t", "\t").replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0")
    line = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), line)
    line = re.sub(r"(.)\^(\d+)\^", lambda match: match[1] * int(match[2]), line)
    return line if ":/" in line or line.startswith(("//", "https:", "data:", "java")) else f"https://{line}"


def addresses_among_vectors() -> list[str]:
    bare = [line.strip("[]") for line in vectors()]
    return [text for text in bare if _is_address(text)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def test_there_are_enough_vectors() -> None:
    assert len(vectors()) >= 120
    assert len(addresses_among_vectors()) >= 45


@pytest.mark.parametrize("line", vectors())
def test_a_hoster_cannot_register_it(line: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        parse_base_url(unescaped(line), OWN)
    words = str(refusal.value)
    assert words.endswith((".", ".)"))
    assert "pw" not in words


@pytest.mark.parametrize("text", addresses_among_vectors())
def test_a_name_cannot_point_there(text: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(text, scheme="https", policy=OWN)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://gpu.good.com", "https://gpu.good.com"),
        ("https://gpu.good.com/", "https://gpu.good.com"),
        ("https://gpu.good.com/v1", "https://gpu.good.com"),
        ("https://gpu.good.com:8443/v1/", "https://gpu.good.com:8443"),
        ("https://gpu.good.com:443", "https://gpu.good.com"),
        ("https://GPU.Good.COM:8443", "https://gpu.good.com:8443"),
        ("https://r3---sn-abc.good.com", "https://r3---sn-abc.good.com"),
        ("https://xn--mnchen-3ya.de:8000", "https://xn--mnchen-3ya.de:8000"),
        ("https://8.8.8.8:8000", "https://8.8.8.8:8000"),
        ("https://[2606:4700:0:0::1111]:8000", "https://[2606:4700::1111]:8000"),
        ("https://[64:ff9b::808:808]", "https://[64:ff9b::808:808]"),
        ("https://a.b-c.d0.example.org:65535", "https://a.b-c.d0.example.org:65535"),
        ("https://gpu.good.com:11434", "https://gpu.good.com:11434"),
    ],
)
def test_a_public_address_has_one_spelling(text: str, origin: str) -> None:
    assert str(parse_base_url(text)) == origin
    assert str(parse_base_url(origin)) == origin


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:9000",
        "http://localhost:11434",
        "http://[::1]:8080",
        "http://10.1.2.3:8000",
        "http://gpu:8000",
    ],
)
def test_private_addresses_are_for_development(text: str) -> None:
    assert str(parse_base_url(text, PRIVATE)) == text


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "100.100.100.200",
        "fd00:ec2::254",
        "fe80::1",
        "192.0.0.192",
        "::",
    ],
)
def test_metadata_services_and_multicast_stay_refused_in_development(text: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(text, scheme="http", policy=PRIVATE)


def test_an_operators_network_is_reached_over_http_and_nothing_beside_it() -> None:
    lan = Policy(networks=(ipaddress.ip_network("10.20.0.0/16"),))
    assert str(parse_base_url("http://10.20.3.4:8000", lan)) == "http://10.20.3.4:8000"
    check_address("10.20.3.4", scheme="http", policy=lan)
    check_address("::ffff:10.20.3.4", scheme="http", policy=lan)
    for text in ("10.21.0.1", "127.0.0.1", "8.8.8.8"):
        with pytest.raises(AddressRefused):
            check_address(text, scheme="http", policy=lan)
    parse_base_url("http://gpu.good.com:8000", lan)  # where the name points decides


def test_http_to_public_addresses_needs_the_operators_word() -> None:
    allowed = Policy(allow_http=True)
    assert str(parse_base_url("http://gpu.good.com:8000", allowed)) == "http://gpu.good.com:8000"
    check_address("8.8.8.8", scheme="http", policy=allowed)
    with pytest.raises(AddressRefused):
        check_address("10.0.0.1", scheme="http", policy=allowed)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example.org/v1", "https://api.example.org/v1"),
        ("https://api.example.org/openai/v1/", "https://api.example.org/openai/v1"),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("http://ollama:11434", "http://ollama:11434"),
    ],
)
def test_a_provider_keeps_its_path_and_may_be_anywhere(text: str, url: str) -> None:
    assert parse_provider_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "api.example.org/v1",
        "ftp://api.example.org",
        "https://user:pw@api.example.org",
        "https://api.example.org/v1?x=1",
        "https://api.example.org/v1#x",
        "https://api.example.org/a/../b",
        "https://api.example.org//v1",
        "https://api.example.org/v1\r\nx: y",
        "https://2130706433/v1",
    ],
)
def test_a_providers_url_must_still_be_plain(text: str) -> None:
    with pytest.raises(AddressRefused):
        parse_provider_url(text)


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_wrapping_an_address_changes_nothing(number: int) -> None:
    plain = _accepts(str(ipaddress.IPv4Address(number)))
    for wrapped in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert _accepts(str(ipaddress.IPv6Address(wrapped))) == plain


@given(st.text(max_size=60))
def test_any_text_is_an_origin_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://good.com{text}"):
        try:
            origin = parse_base_url(url)
        except AddressRefused:
            continue
        assert parse_base_url(str(origin)) == origin


def _accepts(text: str) -> bool:
    try:
        check_address(text, scheme="https", policy=addresses.STRICT)
    except AddressRefused:
        return False
    return True
