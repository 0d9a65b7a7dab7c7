"""The gateway's login to an upstream: a hostile one, and a real one."""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop

from interlock.config.model import ResourceConfig, UpstreamConfig
from interlock.core.errors import UpstreamUnavailable
from interlock.core.permit import GATE_MINT, SessionPermit  # noqa: TID251 - a permit as the gate would give it
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource, SecretReference
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.transport.dial import (
    UpstreamAuthenticationFailed,
    UpstreamCredentialMissing,
    UpstreamNotConfigured,
    UpstreamProtocolBroken,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from interlock.transport.postgres.upstream import DerivedKeys, PostgresDialler, PostgresUpstream
from interlock.wire.postgres.scram import derive_pbkdf2
from tests.servers.authority import Authority
from tests.servers.debian import DebianPostgres

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PERMIT = SessionPermit(mint=GATE_MINT, session_id="s1")


def session_on(resource: Resource, database: str = "shop", upstream_user: str = "") -> Session:
    principal = Principal("ada", "test", PrincipalKind.HUMAN, NOW + timedelta(hours=1), "t1")
    return Session("s1", principal, resource, database, "", NOW, NOW, upstream_user=upstream_user)


def dial(address: str, login: UpstreamConfig, *, password: str = "x", upstream_user: str = "") -> Any:
    resource = Resource("shop", "postgres", address)
    dialler = PostgresDialler(
        {"shop": ResourceConfig(resource, (login,))},
        random_bytes=lambda n: b"r" * n,
        resolve_password=lambda reference: Secret(password),
    )
    return dialler.dial(session_on(resource, upstream_user=upstream_user), PERMIT, {})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 20))


async def dial_scripted(answer: bytes, **options: Any) -> None:
    """Dial a server that reads a little, says ``answer`` and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        await dial(f"127.0.0.1:{port}", UpstreamConfig("app", **options))
    finally:
        server.close()


@pytest.mark.parametrize("answer", [b"N", b"SE", b"Sx" * 20, b"E\0\0\0\5\0", b"", b"X"])
def test_upstream_that_answers_ssl_request_with_anything_but_one_s_is_refused_T27(answer: bytes) -> None:
    with pytest.raises(UpstreamTlsFailed):
        run(dial_scripted(answer))


def test_upstream_that_speaks_no_postgresql_is_refused() -> None:
    with pytest.raises(UpstreamProtocolBroken):
        run(dial_scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n", tls="disable"))


def test_upstream_that_hangs_up_during_login_is_refused() -> None:
    with pytest.raises(UpstreamProtocolBroken):
        run(dial_scripted(b"", tls="disable"))


def test_nobody_at_the_address_is_unreachable() -> None:
    with pytest.raises(UpstreamUnreachable):
        run(dial("127.0.0.1:1", UpstreamConfig("app")))


def test_login_that_the_session_was_not_opened_for_is_not_used() -> None:
    with pytest.raises(UpstreamNotConfigured):
        run(dial("127.0.0.1:1", UpstreamConfig("app"), upstream_user="someone else"))


def test_derived_keys_are_kept_and_are_those_of_pbkdf2() -> None:
    keys = DerivedKeys()
    first = keys.derive(b"pw", b"salt", 4096)
    assert first == derive_pbkdf2(b"pw", b"salt", 4096)
    assert keys.derive(b"pw", b"salt", 4096) is first
    assert keys.derive(b"pw2", b"salt", 4096) != first


@pytest.mark.integration
def test_real_server_is_logged_in_to_with_tls_and_channel_binding(postgres: DebianPostgres) -> None:
    async def work() -> Mapping[str, str]:
        login = UpstreamConfig("app", SecretReference("env", "X"), ca=postgres.ca)
        upstream: PostgresUpstream = await dial(f"localhost:{postgres.port}", login, password=postgres.passwords["app"])
        upstream.abort()
        return upstream.parameters

    assert run(work())["client_encoding"] == "UTF8"


@pytest.mark.integration
def test_certificate_of_another_authority_or_host_is_refused_T27(postgres: DebianPostgres, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    reference = SecretReference("env", "X")
    with pytest.raises(UpstreamTlsFailed):
        run(dial(f"localhost:{postgres.port}", UpstreamConfig("app", reference, ca=other.ca)))
    with pytest.raises(UpstreamTlsFailed):
        run(dial(f"127.1:{postgres.port}", UpstreamConfig("app", reference, ca=postgres.ca)))


@pytest.mark.integration
def test_wrong_password_is_an_authentication_failure_without_the_password_in_it_P5(postgres: DebianPostgres) -> None:
    login = UpstreamConfig("app", SecretReference("env", "X"), ca=postgres.ca)
    with pytest.raises(UpstreamAuthenticationFailed) as failed:
        run(dial(f"localhost:{postgres.port}", login, password="canary-password"))
    assert "canary-password" not in repr(failed.value)


def test_credential_that_cannot_be_resolved_is_said_so_before_anything_is_sent(tmp_path: Path) -> None:
    async def work() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.read(100) == b""
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        resource = Resource("shop", "postgres", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        login = UpstreamConfig("app", SecretReference("file", str(tmp_path / "missing")), tls="disable")
        dialler = PostgresDialler({"shop": ResourceConfig(resource, (login,))}, random_bytes=lambda n: b"r" * n)
        try:
            await dialler.dial(session_on(resource), PERMIT, {})
        finally:
            server.close()

    with pytest.raises(UpstreamCredentialMissing):
        run(work())


def test_every_failure_is_an_upstream_unavailable_with_a_code_of_its_own() -> None:
    kinds = UpstreamUnavailable.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds) > 5
