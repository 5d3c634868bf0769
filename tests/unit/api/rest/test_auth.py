"""Keys, who they belong to, and how fast they may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.contract.errors import ApiError, ErrorCode
from api.http.ratelimit import RateLimiter, TokenBucket
from api.rest.auth import Keyring, hash_key, new_key, require_org, require_permission
from fsbridge.settings.orgs import OrgSettings
from tests.unit.api.support import KEY, MUTE_KEY, MUTE_ORG, ORG, OTHER_KEY, OTHER_ORG, make_settings

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    return Keyring(make_settings().orgs)


def test_a_new_key_is_long_and_its_hash_fits_the_configuration() -> None:
    key = new_key()
    assert key.startswith("fsb_")
    assert len(key) >= 40
    assert key != new_key()
    org = OrgSettings(id=ORG, api_keys=(hash_key(key),))
    found = Keyring([org]).authenticate(f"Bearer {key}")
    assert found is org


@pytest.mark.parametrize(("key", "org"), [(KEY, ORG), (OTHER_KEY, OTHER_ORG), (MUTE_KEY, MUTE_ORG)])
def test_each_key_finds_its_organization(keyring: Keyring, key: str, org: str) -> None:
    for header in (f"Bearer {key}", f"bearer {key}", f"  BEARER   {key} "):
        assert keyring.authenticate(header).id == org


@pytest.mark.parametrize("header", [None, "", "   "])
def test_no_header(keyring: Keyring, header: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        keyring.authenticate(header)
    assert caught.value.code is ErrorCode.AUTH_HEADER_MISSING
    assert caught.value.status == 401
    assert dict(caught.value.headers)["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY} {KEY}",
        "Bearer " + "x" * 10_000,
        "Bearer \xff\xfe",
        f"Bearer {hash_key(KEY)}",
    ],
)
def test_a_wrong_key(keyring: Keyring, header: str) -> None:
    with pytest.raises(ApiError) as caught:
        keyring.authenticate(header)
    assert caught.value.code is ErrorCode.INVALID_TOKEN
    assert KEY not in caught.value.message


@given(st.text(max_size=80))
def test_no_text_is_a_key_by_accident(text: str) -> None:
    with pytest.raises(ApiError):
        Keyring(make_settings().orgs).authenticate(text)


def test_permission_and_organization() -> None:
    plain, _, mute = make_settings().orgs
    require_permission(plain)
    require_org(plain, ORG)
    with pytest.raises(ApiError, match="outbound_calling") as lacking:
        require_permission(mute)
    with pytest.raises(ApiError, match="orgId") as foreign:
        require_org(plain, OTHER_ORG)
    for caught in (lacking, foreign):
        assert (caught.value.code, caught.value.status) == (ErrorCode.PERMISSION_DENIED, 403)


@given(
    st.floats(0.5, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_burst_and_rate(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now, granted = TokenBucket(rate, burst, burst, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        assert 0 <= wait <= 1 / rate
        granted += wait == 0
        assert granted <= burst + now * rate + 1e-6


def test_the_wait_told_is_long_enough_and_time_never_runs_back() -> None:
    limiter = RateLimiter(2.0)
    assert [limiter.take("a", 100.0) for _ in range(2)] == [0.0, 0.0]
    wait = limiter.take("a", 100.0)
    assert wait == pytest.approx(0.5)
    assert limiter.take("b", 100.0) == 0.0
    assert limiter.take("a", 50.0) > 0
    assert limiter.take("a", 100.0 + wait + 0.001) == 0.0
