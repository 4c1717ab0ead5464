"""IP addresses, however a proxy, a person or the kernel writes them."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.addresses import read_address, read_network
from proxy.settings import ClientSettings


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9:41822", "203.0.113.9"),
        ('"203.0.113.9:41822"', "203.0.113.9"),
        ("203.0.113.9:_gateway-1", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ('"[2001:db8::7]:443"', "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:41822", "203.0.113.9"),
        ("::ffff:203.0.113.9%eth0", "203.0.113.9"),
    ],
)
def test_an_address_is_read_however_it_is_written(text, address):
    assert read_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", '"', '""', "unknown", "_hidden", "localhost", "203.0.113", "203.0.113.256"),
        *("203.0.113.9:", "203.0.113.9:x", "203.0.113.9:123456", "203.0.113.09", "203.0.113.9/32"),
        *("[2001:db8::7", "2001:db8::7]", "[]", "[]:443", "[2001:db8::7]443", "2001:db8::7:x"),
        *('"203.0.113.9', "'203.0.113.9'", "203.0.113.9 10.0.0.1", "%eth0", "\u0661.2.3.4"),
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"address|network"):
        read_address(text)


@given(st.text(alphabet='0123456789abcf.:%[]"_/ x'))
def test_nothing_else_is_raised_and_what_is_read_is_read_again(text):
    try:
        address = read_address(text)
    except ValueError:
        return
    assert read_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7:443", "192.0.2.7/32"),
        ("[2001:db8::7]:443", "2001:db8::7/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("fe80::1%eth0", "fe80::1/128"),
    ],
)
def test_a_network_is_read_however_it_is_written(text, network):
    assert read_network(text) == ip_network(network)


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/33", "fe80::%eth0/64", "somewhere", "10.0.0.0/8/8"]
)
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r"address|network"):
        read_network(text)


def test_a_trusted_proxy_may_be_written_as_ipv4_inside_ipv6():
    settings = ClientSettings(trusted_proxies="::ffff:10.0.0.0/104, [2001:db8::7]")

    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::7/128"))
