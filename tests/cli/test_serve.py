from pathlib import Path

from tests.cli.running import interlock, make_folder


def test_gateway_is_started_with_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    config.write_text(config.read_text() + "\n[nonsense]\n")
    answer = interlock("serve", "-c", config)
    assert answer.code == 3
    assert "nonsense: is not a known key" in answer.err


def test_log_level_is_no_level(tmp_path: Path) -> None:
    answer = interlock("serve", "--log-level", "chatty", "-c", make_folder(tmp_path))
    assert answer.code == 2
    assert "warning" in answer.err
