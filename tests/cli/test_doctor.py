import json
from pathlib import Path

from tests.cli.running import interlock
from tests.cli.test_checks import bare_folder


def test_doctor_s_exit_code_and_text_say_whether_something_failed(tmp_path: Path) -> None:
    config = bare_folder(tmp_path)
    good = interlock("doctor", "-c", config)
    assert good.code == 0
    assert "checks passed" in good.out
    (tmp_path / "policies/bad.cedar").write_text("permit (nonsense);")
    bad = interlock("doctor", "-c", config)
    assert bad.code == 1
    assert "FAIL  policies: bad.cedar:1" in bad.out
    assert "mend: " in bad.out
    assert "1 of " in bad.out
    rows = json.loads(interlock("doctor", "-c", config, "--json").out)
    assert [row["subject"] for row in rows if row["status"] == "fail"] == ["policies"]


def test_configuration_itself_is_unusable(tmp_path: Path) -> None:
    assert interlock("doctor", "-c", tmp_path / "none.toml").code == 3
