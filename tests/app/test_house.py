"""What a worker and the supervisor have alike, over a real state file."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from interlock.app.house import House, new_id, open_house, read_clock, read_clock_us, read_monotonic_us
from interlock.approval import HeldAction, Rejected, VerdictKind
from interlock.config import parse
from interlock.core.action import Action
from interlock.core.decision import Hold
from interlock.core.errors import ConfigError, StorageError
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.session import Session
from interlock.storage import migrate

TEXT = """
[gateway]
state = "sqlite:///state.db"
[approvals]
require_claims = { amr = "mfa" }
[[issuers]]
issuer = "https://idp/"
audience = "interlock"
jwks = "file:jwks.json"
claims = ["amr"]
"""
ACTION = Action(
    "s1.1", "postgres.delete", ("destroy/postgres.delete",), {}, "DELETE FROM t", b"DELETE FROM t", "d" * 64
)
HOLD = Hold(policies=("p",), policy_hash="h", groups=("dba",), expires_seconds=600)


def principal(name: str, *groups: str, **claims: str) -> Principal:
    until = read_clock() + timedelta(hours=1)
    return Principal(
        name, "https://idp/", PrincipalKind.HUMAN, until, f"t-{name}", groups=frozenset(groups), claims=claims
    )


def live_in(folder: Path, story: Callable[[House], Awaitable[None]], *, migrated: bool = True) -> None:
    async def whole() -> None:
        config = parse(TEXT, file=folder / "interlock.toml")
        if migrated:
            await migrate(config.gateway.state_path)
        ours, theirs = socket.socketpair()
        kick_out, kick_in = os.pipe()
        given = {"recorder_fd": os.dup(ours.fileno()), "kick_fd": kick_in}
        os.set_inheritable(given["recorder_fd"], True)  # as from the supervisor
        os.set_inheritable(given["kick_fd"], True)
        try:
            house = await open_house(config, instance="gw", name="worker-0.0", **given)
        except BaseException:
            for fd in given.values():
                os.close(fd)
            raise
        else:
            assert not any(os.get_inheritable(fd) for fd in given.values())  # no command of a secret gets them
            await story(house)
            await house.close()
        finally:
            ours.close()
            theirs.close()
            os.close(kick_out)

    asyncio.run(whole())


def make_key(folder: Path, size: int = 32) -> None:
    (folder / "keys").mkdir(mode=0o700)
    (folder / "keys" / "approvals.key").write_bytes(bytes(size))
    (folder / "keys" / "approvals.key").chmod(0o600)


def test_approver_without_the_required_claim_is_refused_and_with_it_approves_T21(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        now = read_clock()
        agent = replace(principal("bot"), kind=PrincipalKind.AGENT)
        session = Session("s1", agent, Resource("shop", "postgres", "db:5432"), "shop", "", now, agent.expires_at)
        await house.approvals.hold(session, ACTION, HOLD, approval_id="a1", now=now)
        for weak in (principal("bob", "dba"), principal("bob", "dba", amr="pwd")):
            answer = await house.approvals.decide("a1", weak, VerdictKind.APPROVE, comment="", now=now)
            assert isinstance(answer, Rejected)
            assert answer.code == "approver_claim"
        strong = principal("bob", "dba", amr="pwd mfa")
        answer = await house.approvals.decide("a1", strong, VerdictKind.APPROVE, comment="", now=now)
        assert isinstance(answer, HeldAction)

    make_key(tmp_path)
    live_in(tmp_path, story)


async def nothing(house: House) -> None:
    assert house.config.approvals.require_claims == {"amr": "mfa"}


def test_approvals_key_that_is_missing_or_too_short_is_named_and_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"approvals\.key"):
        live_in(tmp_path, nothing)
    make_key(tmp_path, 5)
    with pytest.raises(ConfigError, match=r"approvals\.key"):
        live_in(tmp_path, nothing)


def test_state_that_no_supervisor_made_is_not_made_by_a_worker(tmp_path: Path) -> None:
    make_key(tmp_path)
    with pytest.raises(StorageError, match="doesn't exist"):
        live_in(tmp_path, nothing, migrated=False)


def test_ids_sort_by_time_and_never_repeat_and_clocks_agree() -> None:
    ids = [new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)
    assert {len(one) for one in ids} == {32}
    assert abs(read_clock().timestamp() * 1e6 - read_clock_us()) < 5e6
    assert read_monotonic_us() <= read_monotonic_us()
