from pathlib import Path

from interlock.config import GatewayConfig, LimitsConfig, parse
from interlock.config.model import MIB


def test_state_s_path_and_control_socket_follow_from_what_is_configured() -> None:
    gateway = GatewayConfig(state="sqlite:////srv/ilk/state.db", data_dir=Path("/srv/ilk"))
    assert gateway.state_path == Path("/srv/ilk/state.db")
    assert gateway.control_socket == Path("/srv/ilk/control.sock")


def test_defaults_keep_the_design_s_limits() -> None:
    limits = LimitsConfig()
    assert limits.statement_bytes == MIB
    assert limits.inline_parse_bytes == 16 * 1024
    assert limits.held_bytes >= limits.statement_bytes


def test_nothing_is_found_under_a_name_that_is_not_configured() -> None:
    config = parse("", file=Path("/x/interlock.toml"))
    assert config.find_resource("shop") is None
    assert config.find_listener("postgres") is None
