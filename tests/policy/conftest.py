"""Principals, resources and actions for policy's tests."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from interlock.core.action import Action
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.policy import Context
from interlock.policy.leaves import CONNECT_FACTS

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def make_principal() -> Callable[..., Principal]:
    def make(*groups: str, kind: PrincipalKind = PrincipalKind.AGENT, subject: str = "ci", **more: Any) -> Any:
        fields = {"issuer": "https://idp.example/", "expires_at": NOW, "token_id": "t1", **more}
        return Principal(subject=subject, kind=kind, groups=frozenset(groups), **fields)

    return make


@pytest.fixture(scope="session")
def make_resource() -> Callable[..., Resource]:
    def make(name: str = "shop", **labels: str) -> Any:
        return Resource(name, "postgres", "db.internal:5432", labels)

    return make


@pytest.fixture(scope="session")
def make_action() -> Callable[..., Action]:
    def make(*leaves: str, foreseen: tuple[str, ...] = (), **facts: Any) -> Any:
        return Action("s.1", "postgres.x", leaves, {**CONNECT_FACTS, **facts}, "", b"", "", foreseen)

    return make


@pytest.fixture(scope="session")
def context() -> Context:
    return Context(NOW, source="192.0.2.7", database="shop")
