"""Build of the compiled form: mypyc turns the modules listed in pyproject.toml into C extensions.

Compiled and interpreted form are one source and behave alike; without a C compiler the interpreted one is used.
INTERLOCK_PURE=1 builds nothing; INTERLOCK_REQUIRE_COMPILED=1 makes a missing compiler an error.
"""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from setuptools import setup

ROOT = Path(__file__).resolve().parent


def compiled_modules() -> list[str]:
    """Return the listed source files that exist, relative to the project."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed: list[str] = settings["tool"]["interlock"]["compiled"]
    return [path for path in listed if (ROOT / path).is_file()]


def extensions() -> list[Any]:
    """Return the extensions to build: none in pure form, optional ones unless compiling is required."""
    if os.environ.get("INTERLOCK_PURE") == "1":
        return []
    required = os.environ.get("INTERLOCK_REQUIRE_COMPILED") == "1"
    modules = compiled_modules()
    if not modules:
        return []
    try:
        from mypyc.build import mypycify  # noqa: PLC0415 - only a compiling build needs it
    except ImportError:
        if required:
            raise
        return []
    os.environ["MYPYPATH"] = str(ROOT / "src")
    built: list[Any] = mypycify(["--config-file", str(ROOT / "pyproject.toml"), *modules], opt_level="3")
    for extension in built:
        extension.optional = not required
    return built


sys.path.insert(0, str(ROOT))
setup(ext_modules=extensions())
