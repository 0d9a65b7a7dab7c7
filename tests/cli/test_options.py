from pathlib import Path

import pytest

from interlock.cli.options import control_of, read_config
from interlock.control import GatewayUnreachable
from interlock.control.messages import Ping
from interlock.core.errors import ConfigError
from tests.cli.running import make_folder


def test_gateway_is_looked_for_where_its_configuration_says(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    with pytest.raises(GatewayUnreachable, match=str(read_config(config).gateway.control_socket)):
        control_of(config).ask(Ping())
    with pytest.raises(ConfigError):
        control_of(tmp_path / "none.toml")
