import pytest

from interlock.analysis.postgres.settings import (
    ADMIN,
    ADMIN_PREFIXES,
    HARMLESS_AT_ANY_VALUE,
    READ_ONLY,
    assigned,
    constant,
    is_on,
)


@pytest.mark.parametrize("name", ["transaction_read_only", "default_transaction_read_only"])
def test_only_a_plain_yes_keeps_read_only_mode(name: str) -> None:
    for plain in ("on", "TRUE", " t ", "yes", "1"):
        assert assigned((name, plain, False)) == ("session", "set", False, "")
    doubtful: list[str | None] = ["off", "0", "no", "o", "maybe", "", None]
    for value in doubtful:
        assert assigned((name, value, True))[2]


def test_switches_of_rights_rules_and_logs_are_admin_T10() -> None:
    for name in ("session_replication_role", "row_security", "log_statement", "allow_system_table_mods", "pgaudit.log"):
        assert assigned((name, "x", False))[0] == "admin"
    assert assigned(("role", "bob", False)) == ("admin", "set_role", False, "bob")
    assert assigned(("role", None, False)) == ("admin", "set_role", False, "none")
    assert assigned(("session_authorization", None, False))[:2] == ("admin", "set_session_authorization")
    assert assigned(("search_path", "a", False)) == ("session", "set", False, "")
    assert assigned(("*", None, False)) == ("session", "reset", True, "")


def test_constants_are_read_and_nothing_else_is() -> None:
    assert constant({"A_Const": {"sval": {"sval": "x"}}}) == "x"
    assert constant({"A_Const": {"sval": {}}}) == ""
    assert constant({"A_Const": {"ival": {}}}) == "0"
    assert constant({"A_Const": {"fval": {"fval": "1.5"}}}) == "1.5"
    assert constant({"A_Const": {"boolval": {}}}) == "off"
    assert constant({"A_Const": {"isnull": True}}) is None
    assert constant({"ColumnRef": {}}) is None
    text = {"names": [{"String": {"sval": "text"}}]}
    assert constant({"TypeCast": {"arg": {"A_Const": {"sval": {"sval": "x"}}}, "typeName": text}}) == "x"
    other = {"names": [{"String": {"sval": "mine"}}]}
    assert constant({"TypeCast": {"arg": {"A_Const": {"sval": {"sval": "x"}}}, "typeName": other}}) is None


def test_doubt_about_a_boolean_is_no() -> None:
    assert is_on("On")
    assert not is_on("o")
    assert not is_on(None)


def test_no_setting_that_rights_or_the_reading_of_text_hang_on_is_harmless_at_any_value_T5_T10() -> None:
    grave = {"role", "session_authorization", "search_path", "client_encoding", "standard_conforming_strings"}
    grave |= {"backslash_quote", "xmloption", "default_tablespace", "temp_tablespaces", "transaction_isolation"}
    assert not HARMLESS_AT_ANY_VALUE & (ADMIN | READ_ONLY | grave)
    assert not [name for name in HARMLESS_AT_ANY_VALUE if name.startswith(ADMIN_PREFIXES) or "." in name]
    assert all(assigned((name, "x", False)) == ("session", "set", False, "") for name in HARMLESS_AT_ANY_VALUE)
