"""Which form of the hot loops these tests ran on, and that it is the one that was asked for."""

import importlib
import os
from importlib.machinery import EXTENSION_SUFFIXES

from interlock.compiled import compiled_modules
from tests.architecture.project import ROOT, settings


def listed() -> list[str]:
    """The modules that mypyc compiles, by their import names."""
    paths = [path for path in settings()["compiled"] if (ROOT / path).is_file()]
    return sorted(path.removeprefix("src/").removesuffix(".py").replace("/", ".") for path in paths)


def test_the_form_that_was_asked_for_is_loaded() -> None:
    modules = listed()
    assert modules
    for name in modules:
        importlib.import_module(name)
    loaded = [name for name in compiled_modules() if name in modules]
    if os.environ.get("INTERLOCK_PURE") == "1":
        assert loaded == []
    elif os.environ.get("INTERLOCK_REQUIRE_COMPILED") == "1":
        assert loaded == modules
    else:
        assert loaded in ([], modules), "some of the extensions are missing: run `make compile`"


def test_no_extension_is_older_than_its_source() -> None:
    stale = []
    for path in (ROOT / name for name in settings()["compiled"]):
        for suffix in EXTENSION_SUFFIXES:
            extension = path.with_name(path.stem + suffix)
            if extension.is_file() and extension.stat().st_mtime < path.stat().st_mtime:
                stale.append(f"{extension.name} is older than its source: run `make compile`")
    assert stale == []
