import sys
from pathlib import Path

import pytest

from interlock.config.secrets import MAX_SECRET_BYTES, SecretUnavailable, resolve_bytes, resolve_secret
from interlock.core.resource import SecretReference


def test_gateway_reads_a_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "s3cret")
    assert resolve_secret(SecretReference("env", "CANARY")).reveal() == "s3cret"


def test_gateway_reads_a_secret_from_a_file_and_drops_one_newline(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a \n\n")
    assert resolve_secret(SecretReference("file", str(tmp_path / "p"))).reveal() == "a \n"


def test_gateway_reads_a_key_from_a_file_unchanged(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\x00\xff\n")
    assert resolve_bytes(SecretReference("file", str(tmp_path / "k"))) == b"\x00\xff\n"


def test_gateway_runs_a_command_without_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "print.py"
    script.write_text("import sys; print(sys.argv[1])")
    got = resolve_secret(SecretReference("command", f"{sys.executable} {script} '$HOME; echo x'"))
    assert got.reveal() == "$HOME; echo x"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys; print('CANARY'); sys.stderr.write('CANARY'); sys.exit(3)", "status 3"),
        ("import time; print('CANARY', flush=True); time.sleep(60)", "within 0.5 s"),
        ("", "empty"),
        ("import sys; sys.stdout.buffer.write(b'CANARY\\xff')", "UTF-8"),
        (f"print('CANARY' * {MAX_SECRET_BYTES})", "over"),
    ],
)
def test_gateway_s_command_fails_and_the_error_repeats_nothing_it_printed_T24(
    tmp_path: Path, source: str, words: str
) -> None:
    script = tmp_path / "s.py"
    script.write_text(source)
    with pytest.raises(SecretUnavailable, match=words) as caught:
        resolve_secret(SecretReference("command", f"{sys.executable} {script}"), timeout_seconds=0.5)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "reference",
    [
        SecretReference("env", "INTERLOCK_NOT_SET"),
        SecretReference("file", "/nonexistent/secret"),
        SecretReference("command", "/nonexistent/program"),
        SecretReference("vault", "x"),
    ],
)
def test_gateway_cannot_resolve_a_reference_and_names_it(reference: SecretReference) -> None:
    with pytest.raises(SecretUnavailable, match=reference.target):
        resolve_secret(reference)
