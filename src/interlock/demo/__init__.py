"""The story that ``interlock demo`` plays: a real database, a real gateway, a real client, and what came of it."""

from interlock.demo.story import play

__all__ = ["play"]
