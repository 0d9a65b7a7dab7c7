"""The upstream login: recorded dialogues with a real server, and upstreams that lie, stall or downgrade."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import UpstreamProtocolError
from interlock.core.secret import Secret
from interlock.protocols.postgres.login import (
    TLS_REQUEST,
    LoggedIn,
    LoginFailed,
    LoginMachine,
    LoginPolicy,
    LoginStep,
    Send,
    verify_tls_answer,
)
from interlock.wire.postgres import authentication as auth
from interlock.wire.postgres.authentication import Authentication, SASLInitialResponse
from interlock.wire.postgres.backend import BackendKeyData, NegotiateProtocolVersion, ParameterStatus, ReadyForQuery
from interlock.wire.postgres.replies import error_response, notice_response
from interlock.wire.postgres.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage, decode_startup
from tests.protocols.postgres.recorded import record

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded/logins.json").read_text(encoding="utf-8"))
NONCE = "rOprNGfwEbeRWgbNEkqO1234"
OK = Authentication(auth.OK).encode()
UTF8 = ParameterStatus("client_encoding", "UTF8").encode()
READY = ReadyForQuery("I").encode()
SERVER_FIRST = f"r={NONCE}server,s=c2FsdHNhbHRzYWx0,i=4096".encode()


def login(**changes: Any) -> LoginMachine:
    settings: dict[str, Any] = {
        "user": "app",
        "password": Secret("pencil"),
        "database": "shop",
        "nonce": NONCE,
        "policy": LoginPolicy(tls=True),
    }
    return LoginMachine(**(settings | changes))


def failed(step: LoginStep, code: str) -> LoginFailed:
    assert isinstance(step, LoginFailed), step
    assert step.code == code, step
    return step


def sasl(*mechanisms: str) -> bytes:
    return Authentication(auth.SASL, mechanisms=mechanisms).encode()


def replay(case: str, step: int) -> LoginStep:
    """Play a recorded dialogue, the server's bytes ``step`` at a time, and check each thing that we say."""
    recorded = RECORDED[case]
    machine = login(
        user=recorded["user"],
        password=Secret(recorded["password"]),
        database="postgres",
        nonce=recorded["nonce"],
        policy=LoginPolicy(tls=recorded["binding"] is not None, allow_cleartext=True),
        channel_binding=None if recorded["binding"] is None else bytes.fromhex(recorded["binding"]),
    )
    said = [(direction, bytes.fromhex(text)) for direction, text in recorded["said"]]
    assert said[0] == ("send", machine.start())
    ours = b""
    end: LoginStep = Send(b"")
    for direction, data in said[1:]:
        if direction == "send":
            assert ours == data
            ours = b""
            continue
        for at in range(0, len(data), step):
            end = machine.feed(data[at : at + step])
            if isinstance(end, Send):
                ours += end.data
    assert type(end).__name__ == recorded["ends"]
    return end


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize("case", [case for case in RECORDED if RECORDED[case]["ends"] == "LoggedIn"])
def test_login_that_a_real_server_accepted(case: str, step: int) -> None:
    end = replay(case, step)
    assert isinstance(end, LoggedIn)
    assert end.parameters["server_version"].startswith("15.")
    assert (end.parameters["client_encoding"], end.status, end.minor, end.leftover) == ("UTF8", "I", 0, b"")
    assert len(end.key) == 4
    assert end.key.hex() not in repr(end)


@pytest.mark.integration
@pytest.mark.skipif(not record.PROGRAMS, reason="no PostgreSQL server of the system's")
def test_login_to_a_real_server_ends_as_recorded() -> None:
    live = record.record_all()
    assert {case: live[case]["ends"] for case in live} == {case: RECORDED[case]["ends"] for case in RECORDED}


@pytest.mark.parametrize("case", ["scram_wrong_password", "no_such_role"])
def test_login_that_a_real_server_refused(case: str) -> None:
    end = failed(replay(case, 100_000), "upstream_authentication")
    assert end.sqlstate == "28P01"
    assert "password authentication failed" in end.reason


def test_startup_message_names_user_database_and_encoding() -> None:
    packet = decode_startup(login(parameters={"application_name": "x"}).start())
    assert packet == StartupMessage(
        PROTOCOL_3_0,
        {"application_name": "x", "user": "app", "database": "shop", "client_encoding": "UTF8"},
    )


@pytest.mark.parametrize("name", ["user", "database", "client_encoding", "_pq_.x"])
def test_parameters_cannot_replace_what_is_the_gateways(name: str) -> None:
    with pytest.raises(ValueError, match="parameters"):
        login(parameters={name: "x"})


def test_bytes_behind_ready_are_left_for_the_mediator() -> None:
    rest = notice_response("WARNING", "01000", "x") + b"S\0"
    end = login().feed(OK + UTF8 + BackendKeyData(7, b"\1\2\3\4").encode() + READY + rest)
    assert isinstance(end, LoggedIn)
    assert (end.leftover, end.pid, end.key) == (rest, 7, b"\1\2\3\4")


def test_upstream_without_a_cancel_key_is_taken() -> None:
    end = login().feed(OK + UTF8 + READY)
    assert isinstance(end, LoggedIn)
    assert (end.pid, end.key) == (0, b"")


@pytest.mark.parametrize("encoding", [b"", ParameterStatus("client_encoding", "LATIN1").encode()])
def test_upstream_that_does_not_say_utf8_is_refused(encoding: bytes) -> None:
    assert "client_encoding" in failed(login().feed(OK + encoding + READY), "upstream_protocol").reason


# --- methods ---


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (LoginPolicy(tls=True, allow_cleartext=True), True),
        (LoginPolicy(tls=False, allow_cleartext=True), False),
        (LoginPolicy(tls=True), False),
        (LoginPolicy(tls=True, allow_cleartext=True, require_binding=True), False),
    ],
)
def test_clear_password_is_given_only_inside_tls_and_when_configured_P5_T27(
    policy: LoginPolicy, *, allowed: bool
) -> None:
    step = login(policy=policy).feed(Authentication(auth.CLEARTEXT_PASSWORD).encode())
    if allowed:
        assert step == Send(b"p\0\0\0\x0bpencil\0")
    else:
        assert "clear password" in failed(step, "upstream_authentication").reason


@pytest.mark.parametrize(
    "policy", [LoginPolicy(tls=True, allow_md5=False), LoginPolicy(tls=True, require_binding=True)]
)
def test_downgrade_to_md5_is_refused_where_it_is_not_allowed_T27(policy: LoginPolicy) -> None:
    step = login(policy=policy).feed(Authentication(auth.MD5_PASSWORD, b"salt").encode())
    assert "MD5" in failed(step, "upstream_authentication").reason


@pytest.mark.parametrize("code", [2, 6, auth.GSS, auth.SSPI])
def test_method_that_we_do_not_speak_is_refused(code: int) -> None:
    step = login().feed(Authentication(code).encode())
    assert f"method {code}" in failed(step, "upstream_authentication").reason


@pytest.mark.parametrize("demand", [Authentication(auth.MD5_PASSWORD, b"salt").encode(), sasl("SCRAM-SHA-256")])
def test_password_asked_for_where_none_is_configured_is_refused(demand: bytes) -> None:
    assert "none is configured" in failed(login(password=None).feed(demand), "upstream_authentication").reason


def test_upstream_that_asks_for_nothing_is_refused_where_binding_is_required_T27() -> None:
    step = login(policy=LoginPolicy(tls=True, require_binding=True), channel_binding=b"x").feed(OK + UTF8 + READY)
    assert "didn't ask for SCRAM" in failed(step, "upstream_authentication").reason


# --- SCRAM ---


def scram_final(machine: LoginMachine) -> bytes:
    """Play the exchange up to our final message, and return that."""
    first = machine.feed(sasl("SCRAM-SHA-256"))
    assert isinstance(first, Send)
    assert SASLInitialResponse.decode(first.data[5:]).data == b"n,,n=,r=" + NONCE.encode()
    final = machine.feed(Authentication(auth.SASL_CONTINUE, SERVER_FIRST).encode())
    assert isinstance(final, Send)
    return final.data[5:]


def signature(final: bytes) -> bytes:
    message = b"n=,r=" + NONCE.encode() + b"," + SERVER_FIRST + b"," + final.rpartition(b",p=")[0]
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"saltsaltsalt", 4096)
    return base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256"))


def test_scram_ends_well_only_with_the_servers_signature() -> None:
    machine = login()
    final = Authentication(auth.SASL_FINAL, b"v=" + signature(scram_final(machine))).encode()
    assert isinstance(machine.feed(final + OK + UTF8 + READY), LoggedIn)


def test_scram_with_a_wrong_signature_is_refused_T27() -> None:
    machine = login()
    wrong = base64.b64encode(bytes(32))
    scram_final(machine)
    step = machine.feed(Authentication(auth.SASL_FINAL, b"v=" + wrong).encode() + OK + UTF8 + READY)
    assert "signature" in failed(step, "upstream_authentication").reason


def test_upstream_that_skips_its_own_proof_is_refused_T27() -> None:
    machine = login()
    scram_final(machine)
    assert "code 0 in phase scram_final" in failed(machine.feed(OK + UTF8 + READY), "upstream_protocol").reason
    early = login()
    early.feed(sasl("SCRAM-SHA-256"))
    failed(early.feed(OK + UTF8 + READY), "upstream_protocol")


@pytest.mark.parametrize("iterations", [1, 10**9])
def test_trivial_or_endless_iterations_are_refused_T27(iterations: int) -> None:
    machine = login()
    machine.feed(sasl("SCRAM-SHA-256"))
    step = machine.feed(Authentication(auth.SASL_CONTINUE, f"r={NONCE}s,s=c2FsdA==,i={iterations}".encode()).encode())
    assert "iterations" in failed(step, "upstream_authentication").reason


def test_truncated_nonce_is_refused_T27() -> None:
    machine = login()
    machine.feed(sasl("SCRAM-SHA-256"))
    step = machine.feed(Authentication(auth.SASL_CONTINUE, f"r={NONCE[:-1]},s=c2FsdA==,i=4096".encode()).encode())
    assert "nonce" in failed(step, "upstream_authentication").reason


def test_offered_plus_is_taken_inside_tls_and_its_absence_is_told_or_refused_T27() -> None:
    both, only = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"), ("SCRAM-SHA-256",)
    taken = login(channel_binding=b"x").feed(sasl(*both))
    told = login(channel_binding=b"x").feed(sasl(*only))
    assert isinstance(taken, Send)
    assert isinstance(told, Send)
    assert SASLInitialResponse.decode(taken.data[5:]).mechanism == "SCRAM-SHA-256-PLUS"
    assert (SASLInitialResponse.decode(told.data[5:]).data or b"").startswith(b"y,,")
    strict = login(channel_binding=b"x", policy=LoginPolicy(tls=True, require_binding=True)).feed(sasl(*only))
    assert "channel binding" in failed(strict, "upstream_authentication").reason


@pytest.mark.parametrize("code", [auth.SASL_CONTINUE, auth.SASL_FINAL, auth.GSS_CONTINUE])
def test_middle_of_an_exchange_that_never_began_is_refused(code: int) -> None:
    failed(login().feed(Authentication(code, b"x").encode()), "upstream_protocol")


def test_second_demand_after_the_password_is_refused_P5() -> None:
    machine = login(policy=LoginPolicy(tls=True, allow_cleartext=True))
    machine.feed(Authentication(auth.MD5_PASSWORD, b"salt").encode())
    failed(machine.feed(Authentication(auth.CLEARTEXT_PASSWORD).encode()), "upstream_protocol")


# --- upstreams that break the protocol ---


def test_upstream_that_speaks_before_our_answer_is_refused() -> None:
    step = login().feed(Authentication(auth.MD5_PASSWORD, b"salt").encode() + OK)
    assert "out of turn" in failed(step, "upstream_protocol").reason


@pytest.mark.parametrize(
    "data",
    [
        UTF8,
        READY,
        BackendKeyData(7, b"\1\2\3\4").encode(),
        OK + OK,
        OK + BackendKeyData(7, b"\1\2\3\4").encode() * 2,
        OK + BackendKeyData(7, b"k" * 32).encode(),
        OK + NegotiateProtocolVersion(PROTOCOL_3_0, ()).encode(),
        OK + b"D\0\0\0\x06\0\0",
        OK + b"C\0\0\0\x05\0",
        b"R\0\0\0\x03",
        b"?\0\0\0\x04",
        b"N\0\x10\0\0",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        notice_response("NOTICE", "00000", "x") * 2001,
    ],
)
def test_upstream_that_breaks_the_protocol_is_refused_and_stays_so(data: bytes) -> None:
    machine = login()
    failed(machine.feed(data), "upstream_protocol")
    failed(machine.feed(OK + UTF8 + READY), "upstream_protocol")


def test_notices_before_and_after_authentication_are_passed_over() -> None:
    notice = notice_response("NOTICE", "00000", "maintenance at noon")
    assert isinstance(login().feed(notice + OK + notice + UTF8 + READY), LoggedIn)


def test_error_of_the_upstream_keeps_its_sqlstate_and_a_short_text() -> None:
    step = failed(login().feed(error_response("FATAL", "53300", "x" * 9000)), "upstream_refused")
    assert (step.sqlstate, len(step.reason)) == ("53300", 500)


def test_failure_shows_no_password_P5() -> None:
    machine = login(policy=LoginPolicy(tls=True, allow_cleartext=True))
    machine.feed(Authentication(auth.CLEARTEXT_PASSWORD).encode())
    assert "pencil" not in repr(machine.feed(b"garbage!")) + repr(machine)


# --- versions ---


def test_long_key_is_taken_in_protocol_3_2() -> None:
    end = login(version=PROTOCOL_3_2).feed(OK + UTF8 + BackendKeyData(7, b"k" * 32).encode() + READY)
    assert isinstance(end, LoggedIn)
    assert (end.minor, end.key) == (2, b"k" * 32)


def test_older_upstream_is_followed_down() -> None:
    down = NegotiateProtocolVersion(PROTOCOL_3_0, ()).encode()
    end = login(version=PROTOCOL_3_2).feed(down + OK + UTF8 + READY)
    assert isinstance(end, LoggedIn)
    assert end.minor == 0


@pytest.mark.parametrize(
    "answer",
    [
        NegotiateProtocolVersion(PROTOCOL_3_2, ()),
        NegotiateProtocolVersion(PROTOCOL_3_0 - 1, ()),
        NegotiateProtocolVersion(PROTOCOL_3_0, ("_pq_.x",)),
        NegotiateProtocolVersion(-1, ()),
    ],
)
def test_negotiation_up_too_far_down_or_about_options_is_refused(answer: NegotiateProtocolVersion) -> None:
    failed(login(version=PROTOCOL_3_2).feed(answer.encode()), "upstream_protocol")


# --- TLS ---


def test_tls_answer_is_exactly_one_byte() -> None:
    assert TLS_REQUEST == b"\0\0\0\x08\x04\xd2\x16\x2f"
    assert verify_tls_answer(b"S") is True
    assert verify_tls_answer(b"N") is False


@pytest.mark.parametrize("data", [b"", b"SS", b"S" + OK + READY, b"N" + OK, b"E", b"X", b"s"])
def test_plain_text_behind_the_tls_answer_is_refused_CVE_2021_23222_T1(data: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="SSLRequest"):
        verify_tls_answer(data)


# --- anything ---

PIECES = (
    OK,
    UTF8,
    sasl("SCRAM-SHA-256"),
    Authentication(auth.SASL_CONTINUE, SERVER_FIRST).encode(),
    Authentication(auth.SASL_FINAL, b"v=AAAA").encode(),
    Authentication(auth.MD5_PASSWORD, b"salt").encode(),
    BackendKeyData(7, b"\1\2\3\4").encode(),
)


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=8))
def test_no_bytes_make_a_session_without_ready_or_an_exception(pieces: list[bytes]) -> None:
    machine = login(derive=lambda password, salt, iterations: (password + salt)[:iterations])
    for piece in pieces:
        assert isinstance(machine.feed(piece), Send | LoginFailed)
