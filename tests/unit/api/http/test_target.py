"""The forms of a request's target, and the Host that must come with it (RFC 9112, section 3.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.headers import HeaderError
from api.http.target import check_host, split

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("method", "target", "path", "authority"),
    [
        ("GET", "/readyz", "/readyz", None),
        ("GET", "/a?b=http://c/d", "/a?b=http://c/d", None),
        ("GET", "//two", "//two", None),
        ("GET", "http://x/readyz?a=1", "/readyz?a=1", "x"),
        ("GET", "HTTP://api.example.com:8080/a", "/a", "api.example.com:8080"),
        ("GET", "https://[::1]:8080/a", "/a", "[::1]:8080"),
        ("GET", "http://x", "/", "x"),
        ("GET", "http://x?a=1", "/?a=1", "x"),
        ("OPTIONS", "*", "*", None),
        ("OPTIONS", "http://x", "*", "x"),
    ],
)
def test_forms_that_are_taken(method: str, target: str, path: str, authority: str | None) -> None:
    assert split(method, target) == (path, authority)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", ""),
        ("GET", "*"),
        ("GET", "readyz"),
        ("GET", "x:443"),
        ("CONNECT", "x:443"),
        ("GET", "http:///readyz"),
        ("GET", "http://:80/readyz"),
        ("GET", "http:/readyz"),
        ("GET", "ftp://x/readyz"),
        ("GET", "http://user@x/readyz"),
        ("GET", "http://x:123456/readyz"),
        ("GET", "http://x\\y/readyz"),
    ],
)
def test_forms_that_are_not(method: str, target: str) -> None:
    with pytest.raises(HeaderError, match="target"):
        split(method, target)


@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "OPTIONS"]))
def test_whatever_is_taken_is_a_path(target: str, method: str) -> None:
    try:
        path, _ = split(method, target)
    except HeaderError:
        return
    assert path.startswith("/") or (path, method) == ("*", "OPTIONS")


@pytest.mark.parametrize("host", ["x", "api.example.com:8080", "127.0.0.1", "[::1]:80", "", "x:"])
def test_hosts(host: str) -> None:
    check_host(host, "HTTP/1.1")


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "[::1", "x:y", "ä", "x,y z"])
def test_no_hosts(host: str) -> None:
    for version in ("HTTP/1.0", "HTTP/1.1"):
        with pytest.raises(HeaderError, match="no host"):
            check_host(host, version)


def test_only_the_old_version_may_leave_it_out() -> None:
    check_host(None, "HTTP/1.0")
    with pytest.raises(HeaderError, match="missing"):
        check_host(None, "HTTP/1.1")
