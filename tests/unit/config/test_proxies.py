"""A proxy is used where argocd would use it; the cases are those of Go's httpproxy and of users."""

from __future__ import annotations

import pytest

from argorun.config.proxies import Proxy, not_used, proxy_for, with_scheme

PROXY = "http://proxy"


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("cache.corp.example.com:1234", "http://cache.corp.example.com:1234"),
        ("cache.corp.example.com", "http://cache.corp.example.com"),
        ("localhost", "http://localhost"),
        ("https://cache.corp.example.com", "https://cache.corp.example.com"),
        ("socks5://127.0.0.1", "socks5://127.0.0.1"),
        ("foo://host", "foo://host"),
        ("me:secret@proxy:3128", "http://me:secret@proxy:3128"),
    ],
)
def test_a_proxy_may_be_written_without_a_scheme(value: str, url: str) -> None:
    assert with_scheme(value) == url
    assert proxy_for("http://example.com", {"HTTP_PROXY": value}) == Proxy(url, "HTTP_PROXY")


BOTH = {"HTTP_PROXY": "plain.proxy.tld", "HTTPS_PROXY": "secure.proxy.tld"}


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://a.tld/", BOTH, Proxy("http://plain.proxy.tld", "HTTP_PROXY")),
        ("https://a.tld/", BOTH, Proxy("http://secure.proxy.tld", "HTTPS_PROXY")),
        ("https://a.tld/", {"HTTP_PROXY": "p"}, None),
        ("ftp://a.tld/", BOTH, None),
        ("http://a.tld/", {}, None),
        ("http://a.tld/", {"HTTP_PROXY": ""}, None),
        ("http://a.tld/", {"http_proxy": "low"}, Proxy("http://low", "http_proxy")),
        ("http://a.tld/", {"http_proxy": "low", "HTTP_PROXY": "up"}, Proxy("http://up", "HTTP_PROXY")),
        ("http://a.tld/", {"http_proxy": "low", "HTTP_PROXY": ""}, Proxy("http://low", "http_proxy")),
        ("http://a.tld/", BOTH | {"no_proxy": "a.tld"}, None),
        ("http://a.tld/", BOTH | {"REQUEST_METHOD": "PUT"}, None),
        ("https://a.tld/", BOTH | {"REQUEST_METHOD": "PUT"}, Proxy("http://secure.proxy.tld", "HTTPS_PROXY")),
        ("https://a.tld/", {"ALL_PROXY": "socks5://p", "all_proxy": "p"}, None),
        ("http://[::", BOTH, None),
        ("http://a:b", BOTH, None),
    ],
)
def test_the_variable_is_chosen_by_the_scheme(
    url: str, environment: dict[str, str], proxy: Proxy | None
) -> None:
    assert proxy_for(url, environment) == proxy


NO_PROXY = (
    "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, "
    "2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64"
)
LOOPBACK = ("localhost", "LOCALHOST", "127.0.0.1", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]")
# Whether a host is reached through the proxy with that NO_PROXY.
HOSTS = dict.fromkeys(LOOPBACK, False) | {
    "[::2]": True,
    "192.168.1.1": False,
    "192.168.1.2": True,
    "192.168.1.3": False,
    "192.168.1.4": True,
    "10.0.0.2": False,
    "[::ffff:10.0.0.2]": False,
    "10.0.0.4": True,
    "[2001:db8::52:0:1]": False,
    "[2001:db8::52:0:2]": True,
    "[2001:db8::52:0:3]": False,
    "[2002:db8:a::123]": False,
    "[fe80::424b:c8be:1643:a1b6]": True,
    "barbaz.net": True,
    "www.barbaz.net": False,
    "foobar.com": False,
    "FooBar.com": False,
    "www.foobar.com": False,
    "foofoobar.com": True,
    "baz.com": True,
    "localhost.net": True,
    "local.localhost": True,
    "barbarbaz.net": True,
    "wildcard.io": True,
    "nested.wildcard.io": False,
    "awildcard.io": True,
}


@pytest.mark.parametrize(("host", "proxied"), HOSTS.items())
def test_no_proxy_has_addresses_networks_domains_and_ports(host: str, proxied: bool) -> None:
    given = {"HTTP_PROXY": PROXY, "NO_PROXY": NO_PROXY}
    assert (proxy_for(f"http://{host}", given) is not None) is proxied
    assert (proxy_for(f"http://{host}:80", given) is not None) is proxied


@pytest.mark.parametrize("host", HOSTS)
def test_a_star_is_every_host(host: str) -> None:
    assert proxy_for(f"http://{host}", {"HTTP_PROXY": PROXY, "NO_PROXY": "x.com, *"}) is None


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("excepted", ["", "*.example.com", "127.0.0.1,localhost,::1/128"])
def test_this_machine_is_never_reached_through_a_proxy(host: str, scheme: str, excepted: str) -> None:
    assert proxy_for(f"{scheme}://{host}:8443", BOTH | {"NO_PROXY": excepted}) is None


@pytest.mark.parametrize(
    ("excepted", "url", "proxied"),
    [
        ("ample.com", "http://example.com", True),
        (".foo.com", "http://example.com", True),
        (".示例.com", "http://www.示例.com", False),
        ("xn--fsq092h.com", "http://www.示例.com", False),
        ("示例.com", "http://www.xn--fsq092h.com", False),
        ("example.com", "http://[1000::%25.example.com]:123", True),
        ("10.0.0.0/8", "https://10.1.2.3:8443", False),
        ("10.1.2.3/8", "https://10.9.9.9", False),
        ("10.0.0.0/33", "https://10.1.2.3", True),
        ("10.0.0.0/255.0.0.0", "https://10.1.2.3", True),
        ("fd00::/8", "https://[fd12::1]:8443", False),
        ("fd00::/8", "https://10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "https://10.1.2.3", False),
        ("::ffff:10.0.0.0/104", "https://11.1.2.3", True),
        ("::/0", "https://10.1.2.3", True),
        ("[1 ,x", "https://10.1.2.3", True),
        ("[fd12::1]", "https://[fd12::1]", False),
        ("example.com:8443", "https://argocd.example.com:8443", False),
        ("example.com:8443", "https://argocd.example.com", True),
        ("example.com:443", "https://argocd.example.com", False),
        (":1", "http://example.com:1", True),
        ("[", "http://example.com", True),
        (",,", "http://example.com", True),
        (".", "http://example.com", True),
    ],
)
def test_an_entry_of_no_proxy_is_read_as_go_reads_it(excepted: str, url: str, proxied: bool) -> None:
    given = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": excepted}
    assert (proxy_for(url, given) is not None) is proxied


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        ("https://a.tld", {"ALL_PROXY": "socks5://p"}, "ALL_PROXY"),
        ("https://a.tld", {"all_proxy": "p"}, "all_proxy"),
        ("https://a.tld", {"ALL_PROXY": "p", "HTTPS_PROXY": "q"}, ""),
        ("https://a.tld", {"ALL_PROXY": "p", "NO_PROXY": "a.tld"}, ""),
        ("https://localhost", {"ALL_PROXY": "p"}, ""),
        ("https://a.tld", {}, ""),
    ],
)
def test_a_proxy_for_all_is_not_used_and_that_is_known_where_it_matters(
    url: str, environment: dict[str, str], variable: str
) -> None:
    assert not_used(url, environment) == variable


@pytest.mark.parametrize("user", ["", "me@", "me:secret@", "me:p@ss@"])
def test_a_proxy_is_named_with_its_variable_and_without_a_password(user: str) -> None:
    assert str(Proxy(f"http://{user}proxy:3128", "HTTPS_PROXY")) == "http://proxy:3128 (HTTPS_PROXY)"
