"""Which form of the hot loops is loaded: compiled by mypyc, or interpreted from the same source.

Python takes an extension that lies beside a source file before the source itself. Where the interpreted form is
wanted though an extension is there (to test that both behave alike, or to profile), ``load_from_source`` puts a
finder in front that sees no extensions of ours.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

PACKAGE = "interlock"


class _SourceFinder(MetaPathFinder):
    """Finds modules of this package by their source files only."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module under ``interlock.``; None for all others, so that the next finder is asked."""
        if not fullname.startswith(f"{PACKAGE}.") or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname, target)
            # A spec without a loader is a folder without __init__.py: left to the finders that know namespaces.
            if spec is not None and spec.loader is not None:
                return spec
        return None


def load_from_source() -> None:
    """Load every module of Interlock that is imported from now on in its interpreted form.

    Raises:
        RuntimeError: a compiled module is loaded already, so the wish comes too late.
    """
    loaded = compiled_modules()
    if loaded:
        msg = f"already loaded in compiled form: {', '.join(loaded)}"
        raise RuntimeError(msg)
    if not any(isinstance(finder, _SourceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SourceFinder())


def compiled_modules() -> list[str]:
    """Return the names of Interlock's loaded modules that are compiled, sorted."""
    return sorted(
        name
        for name, module in sys.modules.items()
        if name.startswith(f"{PACKAGE}.") and str(getattr(module, "__file__", "")).endswith(tuple(EXTENSION_SUFFIXES))
    )
