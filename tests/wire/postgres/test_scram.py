"""SCRAM against recorded logins and a hostile server; MD5 against a recorded login."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import AuthenticationError, UpstreamProtocolError
from interlock.core.secret import Secret
from interlock.wire.postgres.scram import (
    SCRAM,
    SCRAM_PLUS,
    ScramClient,
    derive_pbkdf2,
    md5_response,
    select_mechanism,
)

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "protocols/postgres/recorded/logins.json").read_text(encoding="utf-8"),
)
NONCE = "rOprNGfwEbeRWgbNEkqO1234"
SERVER_FIRST = f"r={NONCE}server,s=c2FsdHNhbHRzYWx0,i=4096".encode()


def client(**changes: Any) -> ScramClient:
    settings: dict[str, Any] = {"mechanism": SCRAM, "password": Secret("pencil"), "nonce": NONCE}
    return ScramClient(**(settings | changes))


def server_signature(client_final: bytes, password: bytes = b"pencil") -> bytes:
    """What an honest server of this password answers to ``SERVER_FIRST``'s exchange."""
    auth_message = b"n=,r=" + NONCE.encode() + b"," + SERVER_FIRST + b"," + client_final.rpartition(b",p=")[0]
    salted = hashlib.pbkdf2_hmac("sha256", password, b"saltsaltsalt", 4096)
    return base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth_message, "sha256"))


@pytest.mark.parametrize(("case", "mechanism"), [("scram", SCRAM), ("scram_plus", SCRAM_PLUS)])
def test_client_says_what_a_real_server_accepted_and_accepts_its_signature(case: str, mechanism: str) -> None:
    recorded = RECORDED[case]
    said = [bytes.fromhex(text) for _, text in recorded["said"]]
    binding = None if recorded["binding"] is None else bytes.fromhex(recorded["binding"])
    scram = client(mechanism=mechanism, channel_binding=binding)
    assert said[2].endswith(scram.first())
    assert said[4][5:] == scram.final(said[3][9:])
    length = int.from_bytes(said[5][1:5], "big")
    scram.verify_final(said[5][9 : length + 1])


def test_server_that_does_not_know_the_password_is_refused_T27() -> None:
    scram = client()
    signature = server_signature(scram.final(SERVER_FIRST), b"guess")
    with pytest.raises(AuthenticationError, match="signature is wrong"):
        scram.verify_final(b"v=" + signature)


def test_server_that_knows_the_password_is_accepted() -> None:
    scram = client()
    scram.verify_final(b"v=" + server_signature(scram.final(SERVER_FIRST)))


@pytest.mark.parametrize("nonce", [NONCE, NONCE[:-1], NONCE[:-1] + "X" + "server", "server"])
def test_nonce_that_does_not_extend_ours_is_refused_T27(nonce: str) -> None:
    with pytest.raises(AuthenticationError, match="nonce"):
        client().final(f"r={nonce},s=c2FsdA==,i=4096".encode())


@pytest.mark.parametrize("iterations", ["1", "4095", "1000001", "1000000000", "9999999999"])
def test_trivial_or_endless_iterations_are_refused_before_hashing_T27(iterations: str) -> None:
    def explode(password: bytes, salt: bytes, iterations: int) -> bytes:
        pytest.fail(f"hashed {len(password)} bytes with {salt!r} {iterations} times")

    with pytest.raises(AuthenticationError, match="iterations"):
        client(derive=explode).final(f"r={NONCE}server,s=c2FsdA==,i={iterations}".encode())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"m=ext,r=%ss,s=c2FsdA==,i=4096" % NONCE.encode(),
        b"r=%ss,s=c2FsdA==,i=04096" % NONCE.encode(),
        b"r=%ss,s=c2FsdA==,i=-4096" % NONCE.encode(),
        b"r=%ss,s=,i=4096" % NONCE.encode(),
        b"r=%ss,s=c2FsdA=,i=4096" % NONCE.encode(),
        b"r=%ss,i=4096,s=c2FsdA==" % NONCE.encode(),
        b"r=%s\xff,s=c2FsdA==,i=4096" % NONCE.encode(),
        b"r=%ss,s=c2FsdA==,i=4096" % (NONCE.encode() * 300),
        b"r=%ss,s=c2FsdA==,i=4096\n" % NONCE.encode(),
    ],
)
def test_server_first_message_that_is_none_is_refused(message: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        client().final(message)


@pytest.mark.parametrize("message", [b"", b"v=", b"v=!!!!", b"v=abc", b"x=abcd", b"v=" + b"A" * 5000])
def test_server_final_message_that_is_none_is_refused(message: bytes) -> None:
    scram = client()
    scram.final(SERVER_FIRST)
    with pytest.raises(UpstreamProtocolError):
        scram.verify_final(message)


def test_server_that_skips_to_the_end_is_refused_T27() -> None:
    with pytest.raises(UpstreamProtocolError):
        client().verify_final(b"v=" + base64.b64encode(b""))
    with pytest.raises(UpstreamProtocolError):
        client().verify_final(b"v=AAAA")


def test_error_that_the_server_reports_ends_the_exchange() -> None:
    scram = client()
    scram.final(SERVER_FIRST)
    with pytest.raises(AuthenticationError, match="invalid-proof"):
        scram.verify_final(b"e=invalid-proof")


def test_offered_plus_is_used_whenever_there_is_something_to_bind_T27() -> None:
    assert select_mechanism([SCRAM, SCRAM_PLUS], channel_binding=b"x") == SCRAM_PLUS
    assert select_mechanism([SCRAM, SCRAM_PLUS], channel_binding=None) == SCRAM


def test_stripped_plus_is_told_to_the_server_or_refused_T27() -> None:
    assert select_mechanism([SCRAM], channel_binding=b"x") == SCRAM
    assert client(channel_binding=b"x").first().startswith(b"y,,")
    assert b"c=" + base64.b64encode(b"y,,") in client(channel_binding=b"x").final(SERVER_FIRST)
    with pytest.raises(AuthenticationError, match="channel binding is required"):
        select_mechanism([SCRAM], channel_binding=b"x", require_binding=True)
    with pytest.raises(AuthenticationError, match="channel binding is required"):
        select_mechanism([SCRAM, SCRAM_PLUS], channel_binding=None, require_binding=True)


@pytest.mark.parametrize("offered", [[], ["OAUTHBEARER"], [SCRAM_PLUS]])
def test_no_known_mechanism_is_refused(offered: list[str]) -> None:
    with pytest.raises(AuthenticationError, match="mechanisms"):
        select_mechanism(offered, channel_binding=None)


@pytest.mark.parametrize(
    "changes", [{"nonce": "short"}, {"nonce": NONCE + ","}, {"nonce": NONCE + "\n"}, {"mechanism": SCRAM_PLUS}]
)
def test_weak_nonce_or_nothing_to_bind_is_our_own_mistake(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="nonce"):
        client(**changes)


def test_salted_password_may_come_from_the_caller() -> None:
    asked = []

    def derive(password: bytes, salt: bytes, iterations: int) -> bytes:
        asked.append((password, salt, iterations))
        return derive_pbkdf2(password, salt, iterations)

    scram = client(derive=derive)
    scram.verify_final(b"v=" + server_signature(scram.final(SERVER_FIRST)))
    assert asked == [(b"pencil", b"saltsaltsalt", 4096)]


@given(st.binary(max_size=80))
def test_arbitrary_server_messages_raise_only_the_documented_errors(message: bytes) -> None:
    scram = client(derive=lambda password, salt, iterations: hashlib.sha256(password + salt).digest()[:iterations])
    with pytest.raises((UpstreamProtocolError, AuthenticationError)):
        scram.final(message)
    scram.final(SERVER_FIRST)
    with pytest.raises((UpstreamProtocolError, AuthenticationError)):
        scram.verify_final(message)


def test_md5_response_is_what_a_real_server_accepted() -> None:
    said = [bytes.fromhex(text) for _, text in RECORDED["md5"]["said"]]
    response = md5_response("md5", Secret("secret"), said[1][9:13])
    assert said[2][5:-1].decode() == response.reveal()
