"""Interlock: a layer-7 access gateway between agents (and engineers) and production systems."""

from typing import Final

__version__: Final = "0.1.0"
