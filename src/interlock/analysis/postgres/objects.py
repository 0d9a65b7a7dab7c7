"""Names of objects and roles, in whatever form the grammar gives them."""

from typing import Any

from interlock.analysis.postgres.walk import Node, Walk, relation_name


def object_type(value: str) -> str:
    """``table`` of ``OBJECT_TABLE``."""
    return value.removeprefix("OBJECT_").lower()


def object_name(value: Any) -> str:
    """The dotted name of whatever form the grammar gives an object's name."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ".".join(part for part in (object_name(item) for item in value) if part)
    if not isinstance(value, dict):
        return ""
    if "relname" in value:
        return ".".join(relation_name(value))
    if "rolename" in value or "roletype" in value:
        return role_name(value)
    for field in ("objname", "names", "items", "sval"):
        if field in value:
            return object_name(value[field])
    if len(value) == 1:
        (inner,) = value.values()
        if isinstance(inner, dict):
            return object_name(inner)
    return ""


def role_name(role: Node) -> str:
    """The role's name, or ``public``, ``current_user`` ..."""
    role = role.get("RoleSpec", role)
    name = role.get("rolename")
    return name or str(role.get("roletype", "")).removeprefix("ROLESPEC_").lower()


def note(walk: Walk, verb: str, kind: str, name: str) -> None:
    """Add ``kind:name`` to what the walk ``creates``, ``alters`` or ``drops``."""
    if name:
        getattr(walk, verb).add(f"{kind}:{name}")


def add_roles(walk: Walk, node: Node) -> None:
    """Add the roles that a statement names."""
    for field in ("role", "user", "newowner", "newrole", "authrole", "owner", "grantor"):
        value = node.get(field)
        if isinstance(value, dict):
            walk.roles.add(role_name(value))
    for field in ("roles", "grantees", "granted_roles", "grantee_roles"):
        for item in node.get(field, ()):
            name = item.get("AccessPriv", {}).get("priv_name") or role_name(item)
            walk.roles.add(name)
