"""The client's negotiation: what stock clients do, and what attackers do before anybody is authenticated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.prelude import (
    Cancel,
    Continue,
    Prelude,
    PreludeStep,
    Refuse,
    Startup,
    WrapTls,
)
from interlock.wire.postgres.replies import ErrorResponse
from interlock.wire.postgres.startup import CancelRequest, GSSENCRequest, SSLRequest, StartupMessage

SSL = SSLRequest().encode()
GSS = GSSENCRequest().encode()
STARTUP = StartupMessage(3 << 16, {"user": "shop"}).encode()
HEAD = STARTUP[:8]


def prelude(*, tls_offered: bool = True, plaintext_allowed: bool = False) -> Prelude:
    machine = Prelude(tls_offered=tls_offered, plaintext_allowed=plaintext_allowed)
    assert machine.wants == 1
    return machine


def plain(**settings: bool) -> Prelude:
    """A prelude that has seen the first byte of a packet."""
    machine = prelude(**settings)
    assert machine.first_byte(0) == Continue()
    assert machine.wants == 8
    return machine


def refused(step: PreludeStep) -> ErrorResponse | None:
    """Check that the step refuses; return the error that the client gets, if any."""
    assert isinstance(step, Refuse), step
    return ErrorResponse.decode(step.reply[5:]) if step.reply else None


def test_client_asks_for_tls_and_starts_inside() -> None:
    machine = plain()
    assert machine.feed(SSL) == WrapTls(b"S")
    assert machine.secured("postgresql") == Continue()
    assert machine.wants == 8
    assert machine.feed(HEAD) == Startup(HEAD, tls=True)


def test_client_asks_for_gss_first_and_is_told_to_try_tls() -> None:
    machine = plain()
    assert machine.feed(GSS) == Continue(b"N")
    assert machine.wants == 8
    assert machine.feed(SSL) == WrapTls(b"S")
    assert machine.secured(None) == Continue()


def test_client_begins_with_tls_directly() -> None:
    machine = prelude()
    assert machine.first_byte(0x16) == WrapTls(b"")
    assert machine.secured("postgresql") == Continue()
    assert machine.feed(HEAD) == Startup(HEAD, tls=True)


@pytest.mark.parametrize("alpn", [None, "http/1.1", "h2", ""])
def test_direct_tls_without_our_alpn_is_refused_silently_T27(alpn: str | None) -> None:
    machine = prelude()
    machine.first_byte(0x16)
    assert refused(machine.secured(alpn)) is None


def test_tls_that_negotiated_another_protocol_is_refused_T27() -> None:
    machine = plain()
    machine.feed(SSL)
    assert refused(machine.secured("http/1.1")) is None


def test_plaintext_startup_is_refused_with_28000_and_a_way_out_T27() -> None:
    error = refused(plain().feed(HEAD))
    assert error is not None
    assert (error.get("S"), error.sqlstate) == ("FATAL", "28000")
    assert "TLS" in error.get("M")
    assert "sslmode" in error.get("H")


def test_plaintext_startup_is_taken_where_the_config_allows_it() -> None:
    assert plain(plaintext_allowed=True).feed(HEAD) == Startup(HEAD, tls=False)


def test_client_is_told_no_where_there_is_no_tls_and_may_go_on_in_plain() -> None:
    machine = plain(tls_offered=False, plaintext_allowed=True)
    assert machine.feed(SSL) == Continue(b"N")
    assert machine.feed(HEAD) == Startup(HEAD, tls=False)
    assert refused(prelude(tls_offered=False).first_byte(0x16)) is None


@pytest.mark.parametrize("injected", [STARTUP, b"\0", b"x" * 8])
def test_bytes_behind_the_tls_request_never_count_as_inside_CVE_2021_23214_T1(injected: bytes) -> None:
    machine = plain()
    assert machine.wants == len(SSL), "the listener reads no byte beyond the request"
    assert refused(machine.feed(SSL + injected)) is None
    during = plain()
    during.feed(SSL)
    refused(during.feed(injected[:8].ljust(8)))
    refused(during.secured("postgresql"))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("key", [b"\1\2\3\4", b"k" * 32, b"k" * 256])
def test_cancel_request_is_read_to_its_length_in_plain_and_inside_tls(key: bytes, *, inside: bool) -> None:
    machine = plain()
    if inside:
        machine.feed(SSL)
        machine.secured("postgresql")
    packet = CancelRequest(7, key).encode()
    assert machine.feed(packet[:8]) == Continue()
    assert machine.wants == len(packet) - 8
    step = machine.feed(packet[8:])
    assert step == Cancel(7, key)
    assert "k" * 4 not in repr(step)


@pytest.mark.parametrize("size", [8, 12, 15, 269, 10_004])
def test_cancel_request_with_a_key_of_no_known_length_is_refused_silently(size: int) -> None:
    head = size.to_bytes(4, "big") + CancelRequest(7, b"abcd").encode()[4:8]
    assert refused(plain().feed(head)) is None


@pytest.mark.parametrize("first", [0x47, 0x15, 0xFF, 0x01, 0x53])
def test_first_byte_of_another_protocol_is_refused_silently(first: int) -> None:
    assert refused(prelude().first_byte(first)) is None


@pytest.mark.parametrize("size", [0, 7, 10_005, 0x00FFFFFF, 0xFFFFFFFF])
def test_startup_packet_with_an_impossible_length_is_refused(size: int) -> None:
    error = refused(plain(plaintext_allowed=True).feed(size.to_bytes(4, "big") + HEAD[4:]))
    assert error is not None
    assert (error.sqlstate, error.get("M")) == ("08P01", "invalid length of startup packet")


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 0, 0xFFFFFFFF])
def test_other_major_version_is_refused_as_postgres_does(version: int) -> None:
    error = refused(plain(plaintext_allowed=True).feed(HEAD[:4] + version.to_bytes(4, "big")))
    assert error is not None
    assert error.sqlstate == "0A000"
    assert f"{version >> 16}.{version & 0xFFFF}" in error.get("M")


@pytest.mark.parametrize("minor", [0, 1, 2, 9999])
def test_any_minor_version_is_left_to_negotiation(minor: int) -> None:
    head = HEAD[:6] + minor.to_bytes(2, "big")
    assert plain(plaintext_allowed=True).feed(head) == Startup(head, tls=False)


@pytest.mark.parametrize("request_", [SSL, GSS])
def test_encryption_is_asked_for_once_never_inside_tls_and_without_a_body(request_: bytes) -> None:
    twice = plain(tls_offered=False, plaintext_allowed=True)
    twice.feed(request_)
    inside = prelude()
    inside.first_byte(0x16)
    inside.secured("postgresql")
    for step in (twice.feed(request_), inside.feed(request_), plain().feed(b"\0\0\0\x09" + request_[4:])):
        error = refused(step)
        assert error is not None
        assert error.sqlstate == "08P01"


def test_steps_out_of_turn_are_refused() -> None:
    refused(prelude().feed(b"\0"))
    refused(prelude().secured("postgresql"))
    refused(plain().first_byte(0))
    over = plain(plaintext_allowed=True)
    over.feed(HEAD)
    refused(over.feed(HEAD))


@given(st.lists(st.sampled_from([SSL, GSS, HEAD]) | st.binary(min_size=8, max_size=8), max_size=6), st.booleans())
def test_no_bytes_start_a_plain_session_where_tls_is_required_T27(heads: list[bytes], direct: bool) -> None:
    machine = prelude()
    step = machine.first_byte(0x16 if direct else 0)
    secured = False
    for head in heads:
        if isinstance(step, WrapTls):
            secured = True
            step = machine.secured("postgresql")
        if isinstance(step, Continue):
            step = machine.feed(head.ljust(machine.wants, b"\0")[: machine.wants])
        assert not isinstance(step, Startup) or (step.tls and secured)
