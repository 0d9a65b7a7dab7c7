from interlock.analysis.postgres.objects import object_name, object_type, role_name


def test_objects_are_named_whatever_form_the_grammar_gives() -> None:
    strings = [{"String": {"sval": "s"}}, {"String": {"sval": "t"}}]
    assert object_name("x") == "x"
    assert object_name(strings) == "s.t"
    assert object_name({"List": {"items": strings}}) == "s.t"
    assert object_name({"ObjectWithArgs": {"objname": strings}}) == "s.t"
    assert object_name({"TypeName": {"names": strings}}) == "s.t"
    assert object_name({"RangeVar": {"schemaname": "s", "relname": "t"}}) == "s.t"
    assert object_name({"roletype": "ROLESPEC_CSTRING", "rolename": "bob"}) == "bob"
    assert object_name(None) == ""
    assert object_name({"A_Const": {"ival": {"ival": 1}, "location": 3}}) == ""


def test_roles_without_a_name_are_called_by_their_word() -> None:
    assert role_name({"roletype": "ROLESPEC_PUBLIC"}) == "public"
    assert role_name({"RoleSpec": {"roletype": "ROLESPEC_CURRENT_USER"}}) == "current_user"
    assert object_type("OBJECT_FOREIGN_TABLE") == "foreign_table"
