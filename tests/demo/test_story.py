"""The founding story: it is told truthfully, and a step that doesn't hold isn't passed over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.demo.story import Narrator

COMMAND = [sys.executable, "-m", "interlock.cli", "demo", "--once"]
SECONDS = 280


def played(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_narrator_says_what_holds_and_remembers_what_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    tell = Narrator()
    tell.chapter("1. A step", "what\n   it shows")
    tell.shows("psql: SELECT 1", "1\n(1 row)")
    tell.checks("the sky is up", holds=True)
    tell.checks("the sky is down", holds=False)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "", "1. A step", "what it shows",
        "", "  $ psql: SELECT 1", "    1", "    (1 row)",
        "  ok   the sky is up", "  NOT TRUE  the sky is down",
    ]  # fmt: skip
    assert tell.failed == ["the sky is down"]


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_is_played_and_every_step_does_what_it_says() -> None:
    done = played()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every step did what it says." in done.stdout
    assert "NOT TRUE" not in done.stdout
    assert done.stdout.count("  ok ") >= 10


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_step_of_the_demo_does_not_hold_and_the_demo_fails(tmp_path: Path) -> None:
    psql = shutil.which("psql")
    assert psql is not None, "psql is not installed; run `make servers` as root"
    fake = tmp_path / "psql"
    fake.write_text(f'#!/bin/sh\ncase "$*" in *"GROUP BY status"*) exit 0;; esac\nexec {psql} "$@"\n', encoding="utf-8")
    fake.chmod(0o700)
    done = played(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT TRUE  the reviewer got its answer" in done.stdout
    assert "1 step(s) did not do what the story says." in done.stdout
    assert "Every step did what it says." not in done.stdout
