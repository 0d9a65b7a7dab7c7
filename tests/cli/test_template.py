import re
from dataclasses import asdict
from pathlib import Path

import pytest

from interlock.cli.template import FirstResource, config_text
from interlock.config import ApprovalsConfig, LimitsConfig, RecorderConfig, RecordingsConfig, TokensConfig, parse

FILE = Path("/srv/gw/interlock.toml")
FIRST = FirstResource("shop", "unix:/run/pg:5432", 'ap"p\\', "command:pass show 'x\"y'")


@pytest.mark.parametrize("first", [None, FIRST])
def test_written_file_loads_and_says_what_was_asked(first: FirstResource | None) -> None:
    config = parse(config_text(mode="production", address="[::1]:7000", resource=first), file=FILE)
    assert str(config.listeners[0].address) == "[::1]:7000"
    assert [r.upstreams[0].user for r in config.resources] == ([first.user] if first else [])


def test_every_commented_default_can_be_uncommented_and_is_the_default() -> None:
    text = config_text(mode="development", address="127.0.0.1:1", resource=None)
    commented = {"user", "key", "development_key", "require_claims"}
    lines = [
        re.sub(r"^# (\w+ = )", r"\1", line) if (m := re.match(r"# (\w+) = ", line)) and m[1] not in commented else line
        for line in text.partition("[limits]")[2].splitlines()
    ]
    config = parse("[limits]" + "\n".join(lines), file=FILE)
    assert config.limits == LimitsConfig()
    assert config.recorder == RecorderConfig()
    assert config.recordings == RecordingsConfig()
    assert asdict(config.approvals)["expires_seconds"] == ApprovalsConfig().expires_seconds
    assert config.tokens.handle_seconds == TokensConfig().handle_seconds
    assert len([line for line in lines if not line.startswith("#") and "=" in line]) > 25


def test_every_setting_of_the_limits_is_explained_in_the_file() -> None:
    text = config_text(mode="development", address="127.0.0.1:1", resource=None)
    written = set(re.findall(r"^# (\w+) = ", text, re.MULTILINE))
    assert set(asdict(LimitsConfig())) | set(asdict(RecorderConfig())) | set(asdict(RecordingsConfig())) <= written


def test_example_resource_and_issuer_in_comments_are_usable() -> None:
    text = config_text(mode="development", address="127.0.0.1:1", resource=None)
    issuer = text[text.index("# [[issuers]]") : text.index("# What the gateway gives")]
    resource = text[text.index("# [[resources]]") : text.index("# Several logins")]
    config = parse(re.sub(r"^# ", "", issuer + resource, flags=re.MULTILINE), file=FILE)
    assert config.issuers[0].person_claim == "email"
    assert config.resources[0].name == "shop"
