"""What the story stands on: the gateway's command, and a client that can do TLS."""

import os
import sys
from pathlib import Path

import pytest

from interlock.demo.shop import Shop
from interlock.demo.stage import Client, Stage, StageError, find_psql


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)


def test_a_machine_has_no_psql_and_the_demo_brings_its_own_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_psql() is None


def test_a_psql_without_tls_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "psql", "echo 'sslmode value \"verify-full\" invalid when SSL support is not compiled in' >&2")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_psql() is None


def test_a_psql_with_tls_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "psql", "echo 'root certificate file does not exist' >&2; exit 2")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_psql() == str(tmp_path / "psql")


def test_a_clients_output_and_end_are_kept_as_they_are() -> None:
    client = Client([sys.executable, "-c", "import sys; print('é'); sys.exit('bad')"], dict(os.environ), "psql")
    assert client.wait() == "é\nbad"
    assert client.code == 1


def test_the_command_ends_otherwise_than_the_story_says_and_what_it_said_is_shown() -> None:
    stage = Stage(Shop())
    try:
        with pytest.raises(StageError, match=r"interlock policy nonsense` ended with 2:(?s:.*)nonsense"):
            stage.interlock("policy", "nonsense")
        assert "nonsense" in stage.interlock("policy", "nonsense", good=(2,))
    finally:
        stage.__exit__(None, None, None)
    assert not stage.folder.exists()
