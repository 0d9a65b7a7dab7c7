"""From a client's message to the Action that policy is asked about.

The payload of an action is exactly what runs: the text of a Query; for a Bind the statement's text and the whole
Bind message, so that an approval covers text and parameters, and the stored copy can be run by itself (P3, T19).
"""

import hashlib
import struct
from collections.abc import Mapping
from typing import Final, final

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.functions import Judgement
from interlock.analysis.postgres.settle import Catalogue, settle
from interlock.analysis.postgres.statement import Analysis, Name, Settled, Statement
from interlock.core.action import Action

UTF8_NAMES: Final = frozenset({"utf8", "utf-8", "unicode", "utf_8"})
_MEANING: Final = frozenset(
    {"search_path", "role", "session_authorization", "client_encoding", "standard_conforming_strings", "datestyle",
     "intervalstyle", "timezone", "row_security", "session_replication_role", "default_transaction_read_only",
     "transaction_read_only", "xmloption", "bytea_output", "lc_numeric", "lc_monetary", "*"}
)  # fmt: skip
"""Settings that alter what a statement means or may do: an approval holds only while they stay (T19)."""

_LENGTH: Final = struct.Struct("!I")


def bind_payload(text: str, bind: bytes) -> bytes:
    """Int32 length of the text, the text, the Bind message with its header."""
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw + bind


def bind_of_payload(payload: bytes) -> bytes:
    """The Bind message of a payload that ``bind_payload`` made."""
    (length,) = _LENGTH.unpack_from(payload)
    return payload[4 + length :]


@final
class Unseen:
    """The catalogue of an upstream that couldn't be read: nothing in it is known to be harmless."""

    event_trigger_code: tuple[str, ...] = ()

    def judge(self, name: Name, kind: str, argument_count: int, dirty: bool) -> Judgement:  # noqa: ARG002, FBT001
        """Say that it isn't known."""
        return Judgement("unknown")

    def relation_code(self, relation: Name, for_write: bool, dirty: bool) -> tuple[str, ...]:  # noqa: ARG002, FBT001
        """Say that any code could run."""
        return (f"relation {'.'.join(relation)}",)


UNSEEN: Final = Unseen()


@final
class Requests:
    """Makes the actions of one session: numbers them and binds them to the settings in force."""

    def __init__(self, session_id: str, analyser: Analyser) -> None:
        self._session_id: Final = session_id
        self._analyser: Final = analyser
        self._count = 0
        self._settings: dict[str, str] = {}
        self._fingerprint = b""
        self.epoch = 0
        """Grows when a setting changes that statements' meaning hangs on."""
        self.catalogue: Catalogue = UNSEEN
        self.dirty = False
        """The session changed the catalogue, perhaps, since it was read."""

    def settle(
        self, analysis: Analysis, prepared: Mapping[str, Statement], cursors: Mapping[str, Statement]
    ) -> Settled:
        """What the analysis means in this session, now."""
        return self._analyser.settle(analysis, self.catalogue, dirty=self.dirty, prepared=prepared, cursors=cursors)

    def action(
        self,
        settled: Settled,
        text: str,
        payload: bytes,
        *,
        foreseen: bool = False,
        kind: str = "",
        leaf: str = "",
        parameters: tuple[bytes | None, ...] = (),
    ) -> Action:
        """Number one action; ``leaf`` replaces the settled leaves, which are then only foreseen."""
        self._count += 1
        digest = hashlib.sha256(payload)
        digest.update(self._fingerprint)
        return Action(
            f"{self._session_id}.{self._count}",
            kind or settled.kind,
            (leaf,) if leaf else settled.leaves,
            settled.facts,
            text,
            payload,
            digest.hexdigest(),
            settled.leaves if foreseen else (),
            parameters,
        )

    def note_settings(self, statements: tuple[Statement, ...], *, code: bool = False) -> bool:
        """Take note of settings that a permitted statement changes; True if meaning may change."""
        changed = code or any(runs_code(one.leaves) for one in statements)
        for statement in statements:
            for name, value, _ in statement.sets:
                if name in _MEANING:
                    self._settings[name] = "" if value is None else value
                    changed = True
        if changed:
            self.epoch += 1
            self._fingerprint = ("\0" + repr(sorted(self._settings.items()))).encode()
        return changed


def runs_code(leaves: tuple[str, ...]) -> bool:
    """True if what has these leaves may run anything, so change any setting: a function could, and no text tells."""
    return any(leaf.startswith(("execute/", "unknown/")) for leaf in leaves)


def unparsed() -> tuple[Settled, Analysis]:
    """A text that the grammar refuses, or that isn't read, as something policy can be asked about: ``unknown``."""
    statement = Statement("unparsed", ("unknown/postgres.unparsed",), lifts_read_only=True, changes_catalogue=True)
    analysis = Analysis((statement,), large=False)
    return settle(analysis, UNSEEN, dirty=True, prepared={}, cursors={}), analysis


def unsupported_encoding(statements: tuple[Statement, ...]) -> str:
    """The setting that would make the server read text otherwise than the parser here does, or empty (T5)."""
    for statement in statements:
        inner = statement.prepares[1] if statement.prepares is not None else statement
        for name, value, _ in inner.sets:
            text = "" if value is None else value.strip("'\"").lower()
            if name == "client_encoding" and value is not None and text not in UTF8_NAMES:
                return f"client_encoding={text}"
            if name == "standard_conforming_strings" and text in {"off", "false", "0", "no", "f", "n", "of", "fa"}:
                return "standard_conforming_strings=off"
    return ""


def function_call() -> Settled:
    """A fast-path FunctionCall as something policy can be asked about: code of which only an oid is known."""
    statement = Statement("function_call", ("execute/postgres.function_call",), dynamic=True, lifts_read_only=True)
    return settle(Analysis((statement,), large=False), UNSEEN, dirty=True, prepared={}, cursors={})
