import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from interlock.cli.tokens import TokenRefused, find_token, read_token
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity import DevelopmentVerifier
from interlock.identity.token import decode_token
from tests.cli.running import interlock, make_folder


def verified(folder: Path, token: str) -> Principal:
    key = load_pem_private_key((folder / "keys/development.pem").read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    verifier = DevelopmentVerifier(key.public_key())
    return asyncio.run(verifier.verify(decode_token(Secret(token)), datetime.now(UTC)))  # noqa: TID251 - as the command


def test_developer_issues_an_agent_s_token_and_the_verifier_takes_it_as_development(
    tmp_path: Path,
) -> None:
    config = make_folder(tmp_path)
    answer = interlock(
        "token", "issue", "reviewer", "--kind", "agent", "--model", "acme/reviewer/3", "--person", "alice",
        "--group", "readers", "--group", "ci", "--actor", "ci-runner", "--resource", "shop", "--reason", "PR 7",
        "-c", config,
    )  # fmt: skip
    assert answer.code == 0
    assert "DEVELOPMENT" in answer.err
    principal = verified(tmp_path, answer.out.strip())
    assert principal.development
    assert (principal.kind, principal.person, principal.reason) == (PrincipalKind.AGENT, "alice", "PR 7")
    assert principal.groups == {"readers", "ci"}
    assert principal.resources == frozenset({"shop"})
    assert principal.model is not None
    assert not principal.model.attested
    assert principal.actors[0].subject == "ci-runner"


def test_token_is_printed_alone_or_as_json(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    assert len(interlock("token", "issue", "alice", "-c", config).out.split()) == 1
    said = json.loads(interlock("token", "issue", "alice", "-c", config, "--json").out)
    assert said["development"] is True
    assert verified(tmp_path, said["token"]).subject == "alice"


def test_production_mode_issues_none_T25(tmp_path: Path) -> None:
    config = make_folder(tmp_path, "--mode", "production")
    answer = interlock("token", "issue", "alice", "-c", config)
    assert (answer.code, answer.out) == (1, "")
    assert "production" in answer.err


@pytest.mark.parametrize("options", [("--seconds", "999999"), ("--group", "a\u202eb"), ("--reason", "x" * 5000)])
def test_token_that_would_not_be_taken_is_not_issued(tmp_path: Path, options: tuple[str, str]) -> None:
    answer = interlock("token", "issue", "alice", "-c", make_folder(tmp_path), *options)
    assert (answer.code, answer.out) == (1, "")


@pytest.mark.parametrize("options", [("--model", "gpt"), ("--kind", "robot"), ("--seconds", "0")])
def test_misuse_is_a_usage_error(tmp_path: Path, options: tuple[str, str]) -> None:
    assert interlock("token", "issue", "alice", "-c", make_folder(tmp_path), *options).code == 2


def test_development_key_is_something_else(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    (tmp_path / "keys/development.pem").write_bytes((tmp_path / "tls/key.pem").read_bytes())
    assert "Ed25519" in interlock("token", "issue", "alice", "-c", config).err
    (tmp_path / "keys/development.pem").write_bytes(b"CANARY")
    answer = interlock("token", "issue", "alice", "-c", config)
    assert answer.code == 1
    assert "CANARY" not in answer.err


def test_token_comes_from_file_then_environment_and_never_from_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERLOCK_TOKEN", raising=False)
    assert find_token(None) is None
    with pytest.raises(TokenRefused, match="INTERLOCK_TOKEN"):
        read_token(None)
    monkeypatch.setenv("INTERLOCK_TOKEN", " from-env \n")
    assert read_token(None).reveal() == "from-env"
    (tmp_path / "t").write_text("from-file\n")
    assert read_token(tmp_path / "t").reveal() == "from-file"
    (tmp_path / "empty").write_bytes(b"\xff\n")
    for bad in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(TokenRefused, match=bad.name):
            read_token(bad)
