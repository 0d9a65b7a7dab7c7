"""Limits of one PostgreSQL connection, from the configuration."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, intervals in seconds."""

    statement_bytes: int = 1024 * 1024
    """The longest text that is parsed; longer ones are refused, never forwarded unseen."""
    inline_bytes: int = 16 * 1024
    """Texts above this are analysed off the loop."""
    message_bytes: int = 16 * 1024 * 1024
    """The largest Query, Parse, Bind or FunctionCall message, parameters included."""
    upstream_message_bytes: int = 64 * 1024 * 1024
    """The largest upstream message that isn't a row or COPY data."""
    names: int = 10_000
    """Prepared statements, portals and cursors a session."""
    names_bytes: int = 64 * 1024 * 1024
    """What their texts and parameters may take together."""
    pipelined: int = 2048
    """Messages whose replies are owed; what comes behind them waits unread."""
    notice_seconds: int = 30
    """How often a client hears that its statement is still held."""
