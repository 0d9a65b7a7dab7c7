"""The starter policies that ``interlock init`` writes."""

from functools import cache
from importlib.resources import files


@cache
def starter_policies() -> dict[str, str]:
    """``{file name: text}``, as shipped; under them stock drivers' and psql's own statements pass for readers."""
    folder = files("interlock.policy").joinpath("starter")
    shipped = sorted((item for item in folder.iterdir() if item.name.endswith(".cedar")), key=lambda item: item.name)
    return {item.name: item.read_text(encoding="utf-8") for item in shipped}
