"""The tree of errors: public codes that stay, and texts for operators."""

import re
from pathlib import Path

import pytest

from interlock.core import errors
from interlock.core.errors import (
    AuthenticationError,
    ClientProtocolError,
    ConfigError,
    InterlockError,
    LimitExceeded,
    ProtocolError,
    UpstreamProtocolError,
)

CODES = {
    "InterlockError": "internal",
    "ProtocolError": "protocol",
    "ClientProtocolError": "client_protocol",
    "UpstreamProtocolError": "upstream_protocol",
    "LimitExceeded": "limit",
    "AuthenticationError": "authentication",
    "ConfigError": "config",
    "PolicyError": "policy",
    "UpstreamUnavailable": "upstream_unavailable",
    "AuditUnavailable": "audit_unavailable",
    "StorageError": "storage",
}
RAISED = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
TREE = {name: kind for name, kind in RAISED.items() if issubclass(kind, InterlockError)}


def test_every_error_has_the_public_code_that_clients_and_scripts_know() -> None:
    assert {name: kind.code for name, kind in TREE.items()} == CODES


def test_every_error_is_one_of_ours_and_the_docstring_draws_the_tree() -> None:
    assert set(TREE) == set(RAISED)
    assert set(re.findall(r"[├└]─ (\w+)", errors.__doc__ or "")) == set(TREE) - {"InterlockError"}


def test_every_public_code_is_documented() -> None:
    said = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [code for code in CODES.values() if f"`{code}`" not in said] == []


def test_who_broke_the_protocol_is_told_apart() -> None:
    assert issubclass(ClientProtocolError, ProtocolError)
    assert issubclass(UpstreamProtocolError, ProtocolError)
    assert not issubclass(ClientProtocolError, UpstreamProtocolError)


def test_a_limit_says_its_name_what_it_is_and_what_came() -> None:
    error = LimitExceeded("message bytes", limit=10, got=11)
    assert str(error) == "message bytes: 11 is over the limit of 10"
    assert (error.name, error.limit, error.got) == ("message bytes", 10, 11)


@pytest.mark.parametrize(
    ("key", "text"), [("tls.key", "interlock.toml: tls.key: no such file"), ("", "interlock.toml: no such file")]
)
def test_a_bad_configuration_names_file_key_and_reason(key: str, text: str) -> None:
    error = ConfigError("interlock.toml", key, "no such file")
    assert str(error) == text
    assert (error.file, error.key, error.reason) == ("interlock.toml", key, "no such file")


def test_a_refused_credential_keeps_its_reason_for_operators() -> None:
    assert AuthenticationError("expired").reason == str(AuthenticationError("expired")) == "expired"
