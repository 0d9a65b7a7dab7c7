"""The start of a client's connection: start-up packet, token, and the settings that it asks for.

A start-up parameter is a SET by another road: each is turned into the SET statement that it equals, analysed and
asked about with the rest, so that ``options=-c role=dba`` is judged exactly as ``SET role = dba``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interlock.core.errors import ClientProtocolError, LimitExceeded

RESERVED: Final = frozenset({"user", "database", "options", "replication"})
MAX_SETTINGS: Final = 64
FORCED: Final = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
"""What the parser here assumes about every text; the upstream is told, so that both read alike (T5)."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the start-up packet asks for."""

    resource: str
    database: str
    settings: Mapping[str, str]
    """Settings by name, from parameters and from ``options``, without those of FORCED."""
    encoding: str
    replication: str
    protocol_minor: int
    """The minor protocol version that the gateway speaks with this client."""
    unrecognised: tuple[str, ...]
    """Protocol options (``_pq_.``) that the gateway doesn't know."""
    newer: bool
    """The client asked for a later minor version than the gateway speaks."""


def read_opening(parameters: Mapping[str, str], *, minor: int) -> Opening:
    """Read the parameters of a StartupMessage.

    Spec: PostgreSQL 18, "Message Formats", StartupMessage; "-c" and "--" switches of postgres(1).
    Trust: ``parameters`` are from the client, unverified.

    Raises:
        ClientProtocolError: no user, or switches that aren't settings.
        LimitExceeded: more than 64 settings.
    """
    user = parameters.get("user", "")
    if not user:
        msg = "no PostgreSQL user name specified in startup packet"
        raise ClientProtocolError(msg)
    settings: dict[str, str] = {}
    for name, value in parameters.items():
        if name not in RESERVED and not name.startswith("_pq_."):
            settings[name.lower()] = value
    for name, value in _switches(parameters.get("options", "")):
        if name.lower() in RESERVED:
            msg = f"{name.lower()} in options is no setting"
            raise ClientProtocolError(msg)
        settings[name.lower()] = value
    if len(settings) > MAX_SETTINGS:
        what = "startup settings"
        raise LimitExceeded(what, limit=MAX_SETTINGS, got=len(settings))
    encoding = settings.pop("client_encoding", "UTF8")
    replication = parameters.get("replication", "")
    return Opening(
        resource=user,
        database=parameters.get("database", "") or user,
        settings=settings,
        encoding=encoding,
        replication="" if replication.lower() in {"", "false", "off", "no", "0"} else replication,
        protocol_minor=min(minor, 2) if minor >= 2 else 0,
        unrecognised=tuple(name for name in parameters if name.startswith("_pq_.")),
        newer=minor > 2,
    )


def as_set_statements(settings: Mapping[str, str]) -> str:
    """The SET statements that these start-up settings equal, one a line."""
    lines = []
    for name, value in sorted(settings.items()):
        quoted = value.replace("'", "''")
        parts = ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
        prefix = "E" if "\\" in value else ""
        escaped = quoted.replace("\\", "\\\\")
        lines.append(f"SET {parts} = {prefix}'{escaped}';")
    return "\n".join(lines)


def _switches(options: str) -> list[tuple[str, str]]:
    """Split ``options`` as the server does: words by white space, a backslash takes the next character as it is."""
    words: list[str] = []
    word: list[str] = []
    inside = escaped = False
    for char in options:
        if escaped:
            word.append(char)
            escaped = False
        elif char == "\\":
            escaped = inside = True
        elif char in " \t\n\r\f\v":
            if inside:
                words.append("".join(word))
                word, inside = [], False
        else:
            word.append(char)
            inside = True
    if inside:
        words.append("".join(word))
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        text = words[at]
        if text == "-c" and at + 1 < len(words):
            at += 1
            text = words[at]
        elif (text.startswith("-c") and len(text) > 2) or text.startswith("--"):
            text = text[2:]
        else:
            msg = f"command-line switch {text.split('=')[0][:20]!r} in options isn't a setting (use -c name=value)"
            raise ClientProtocolError(msg)
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = "a -c switch in options needs name=value"
            raise ClientProtocolError(msg)
        found.append((name.replace("-", "_"), value))
        at += 1
    return found
