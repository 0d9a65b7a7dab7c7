import json
from pathlib import Path

from tests.cli.running import interlock, make_folder


def test_resources_are_listed_without_their_secrets(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    assert interlock("resources", "list", "-c", config).out.splitlines()[1].split()[:3] == [
        "shop",
        "postgres",
        "db:5432",
    ]
    (row,) = json.loads(interlock("resources", "list", "--json", "-c", config).out)
    assert row["logins"] == [{"user": "app", "tls": "verify-full", "groups": []}]
    assert "SHOP_PASSWORD" not in json.dumps(row)


def test_nothing_is_registered_and_that_is_said(tmp_path: Path) -> None:
    config = make_folder(tmp_path, "--listen", "127.0.0.1:7000")
    assert "add [[resources]]" in interlock("resources", "list", "-c", config).out
