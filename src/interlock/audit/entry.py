"""The audit entry: one canonical, versioned JSON object under 2 KiB; later the leaf of a transparency log (RFC 6962).

Canonical means: UTF-8, keys sorted by code point, no white space, no floats, no null, absent when empty, integers
below 2**53, strings escaped as RFC 8785 says. The struct's fields are declared in that order, so only the members of
nested objects are sorted when they are encoded. The leaf is exactly these bytes; nobody re-encodes them.

Values that are long (a hundred leaves, a reason of 5 KB) are cut here, named with their full size in ``cut``, and
kept whole in the payload, which ``payload`` commits to.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

VERSION: Final = 1
MAX_ENTRY_BYTES: Final = 2047
"""An entry is always shorter than 2 KiB: log tiles allow 64 KiB, witnesses and proofs want little."""

NOTHING: Final = msgspec.Raw(b"")
"""A nested object that isn't there."""
_LEVELS: Final = ((256, 8, 64), (64, 3, 32), (24, 0, 0))
"""Ever harder cuts: bytes of a text, members of a list, bytes of a member."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One audit record; ``type`` says which fields it has. Fields are in canonical (sorted) order."""

    action: str = ""
    """The action's id: session id and number."""
    approval: str = ""
    approvers: tuple[str, ...] = ()
    """People (canonical ids) who approved or refused."""
    at: int = 0
    """Wall clock, microseconds since 1970 UTC."""
    by: msgspec.Raw = NOTHING
    """Who wrote it: ``{"instance", "worker"}``."""
    bytes: int = 0
    """Response bytes delivered to the client."""
    code: str = ""
    """Stable code: of a denial, of a session's end, the protocol's own of an error."""
    cut: dict[str, int] | None = None
    """Fields that were cut here, with their full size; the payload has them whole."""
    data_bytes: int = 0
    """Bytes the client streamed in (COPY)."""
    decision: str = ""
    """``allow``, ``hold`` or ``deny``; for type ``approval`` the event; for ``admin`` what was done."""
    detail: dict[str, str | int] | None = None
    """Further facts of entries that aren't about an action."""
    foreseen: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Groups whose approval is asked for, or that gave it."""
    kind: str = ""
    """The action's kind, as in ``postgres.select``."""
    leaves: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """For type ``gap``: SHA-256 of entries that couldn't be recorded, so that ``prev`` still resolves."""
    masked: dict[str, int] | None = None
    mono: int = 0
    """Monotonic clock of the writer, microseconds: orders entries of one worker when the wall clock jumps."""
    on: msgspec.Raw = NOTHING
    """What is talked to: ``{"database", "protocol", "resource"}``."""
    payload: str = ""
    """Commitment: SHA-256 of salt and payload, hex. The salt is stored with the payload, and destroyed with it."""
    payload_bytes: int = 0
    policies: tuple[str, ...] = ()
    policy_hash: str = ""
    prev: str = ""
    """SHA-256 of the session's entry before this one, hex."""
    reason: str = ""
    rows: int = 0
    seq: int = 0
    """Number of the entry in its worker's life, from 1."""
    session: str = ""
    session_seq: int = 0
    """Number of the entry in its session, from 1; 0 where it isn't chained to the session."""
    status: str = ""
    tag: str = ""
    truncated: bool = False
    type: str = ""
    """``session_start``, ``session_end``, ``intent``, ``decision``, ``approval``, ``outcome``, ``admin``,
    ``heartbeat``, ``recorder_start``, ``recorder_stop``, ``gap``."""
    v: int = 0
    """Version of this format; always written, because 0 is never used."""
    who: msgspec.Raw = NOTHING
    """``{"actors", "id", "kind", "model", "person", "token"}`` of the principal."""


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_SORTED: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """Encode canonically; raises nothing that a hostile value could cause.

    Raises:
        ValueError: more than text and lists is too long: a bug, not an input.
    """
    try:
        data = _ENCODER.encode(entry)
    except UnicodeEncodeError:
        return fit(entry)[0]
    return data if len(data) <= MAX_ENTRY_BYTES else fit(entry)[0]


def encode_unlimited(entry: Entry) -> bytes:
    """Encode canonically whatever the length; text that isn't Unicode is written as an escape."""
    try:
        return _ENCODER.encode(entry)
    except UnicodeEncodeError:
        return _ENCODER.encode(
            msgspec.structs.replace(entry, **{name: _cleaned(getattr(entry, name)) for name in _CUTTABLE})
        )


def encode_whole(entry: Entry) -> bytes | None:
    """Encode canonically, or None if the entry has to be cut (or cleaned) with ``fit``."""
    try:
        data = _ENCODER.encode(entry)
    except UnicodeEncodeError:
        return None
    return data if len(data) <= MAX_ENTRY_BYTES else None


def decode(data: bytes | memoryview) -> Entry:
    """Decode a leaf.

    Raises:
        msgspec.DecodeError: not an entry.
    """
    return _DECODER.decode(data)


def digest(data: bytes) -> str:
    """SHA-256 of a leaf's bytes, hex: what ``prev`` of the session's next entry says."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """Encode a plain value (no floats) canonically."""
    try:
        return _SORTED.encode(value)
    except UnicodeEncodeError:
        return _SORTED.encode(_cleaned(value))


def fit(entry: Entry) -> tuple[bytes, bytes]:
    """Encode an entry that is too long or holds text that isn't Unicode: the leaf, and the cut values whole (JSON).

    Raises:
        ValueError: even the hardest cut is too long, which only ids of absurd size can cause.
    """
    whole = {name: _cleaned(getattr(entry, name)) for name in _CUTTABLE if getattr(entry, name)}
    for text, members, member in _LEVELS:
        changes: dict[str, Any] = {}
        cut: dict[str, int] = dict(entry.cut or {})
        for name, value in whole.items():
            short, size = _shortened(value, text, members, member)
            if size:
                cut[name] = size
            changes[name] = short
        data = _ENCODER.encode(msgspec.structs.replace(entry, **changes, cut=dict(sorted(cut.items())) or None))
        if len(data) <= MAX_ENTRY_BYTES:
            return data, canonical({name: whole[name] for name in cut if name in whole}) if cut else b""
    msg = f"an entry of {len(data)} bytes can't be cut to {MAX_ENTRY_BYTES}"
    raise ValueError(msg)


def fit_object(value: Mapping[str, object], limit: int) -> msgspec.Raw:
    """Encode a nested object in at most ``limit`` bytes: cut texts and lists and say ``"cut": 1`` where it must."""
    data = canonical(value)
    if len(data) <= limit:
        return msgspec.Raw(data)
    clean = cast("dict[str, Any]", _cleaned(dict(value)))
    share = limit // max(len(clean), 1)
    while share:
        short = {name: _squeezed(member, share) for name, member in clean.items()}
        data = canonical({**short, "cut": 1})
        if len(data) <= limit:
            return msgspec.Raw(data)
        share = share * 3 // 4
    return msgspec.Raw(b'{"cut":1}')


_CUTTABLE: Final = (
    "approvers",
    "code",
    "decision",
    "detail",
    "foreseen",
    "groups",
    "kind",
    "leaves",
    "lost",
    "masked",
    "policies",
    "policy_hash",
    "reason",
    "status",
    "tag",
)


def _shortened(value: Any, text: int, members: int, member: int) -> tuple[Any, int]:
    """The value cut to a level's limits, and its full size if anything was cut, else 0."""
    if isinstance(value, str):
        short = cut_text(value, max(text, 64) if _is_hash(value) else text)
        return short, len(value) if short != value else 0
    if isinstance(value, tuple):
        kept = tuple(cut_text(item, member) for item in value[:members])
        return kept, len(value) if kept != value else 0
    kept_items = {
        cut_text(name, member): cut_text(item, member) if isinstance(item, str) else item
        for name, item in list(value.items())[:members]
    }
    return kept_items or None, len(value) if kept_items != value else 0


def _is_hash(value: str) -> bool:
    return len(value) == hashlib.sha256().digest_size * 2 and value.isalnum() and value.isascii()


def _squeezed(value: object, share: int) -> object:
    """A text, list or object in about ``share`` encoded bytes; lists and objects too long become their count."""
    if isinstance(value, str):
        return cut_text(value, share)
    if isinstance(value, Mapping):
        return {name: _squeezed(item, share // 2) for name, item in value.items()}
    if isinstance(value, Sequence):
        return value if len(canonical(value)) <= share else len(value)
    return value


def cut_text(text: str, limit: int) -> str:
    """The longest quick prefix of ``text`` whose JSON form is at most ``limit`` bytes, without its quotes."""
    short = text[:limit]
    while short and len(_ENCODER.encode(short)) - 2 > limit:
        short = short[: min(len(short) - 1, len(short) * 3 // 4)]
    return short


def _cleaned(value: Any) -> Any:
    """The value with everything that isn't Unicode (lone surrogates) written as an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_cleaned(name): _cleaned(item) for name, item in sorted(value.items())}
    if isinstance(value, tuple | list):
        return type(value)(_cleaned(item) for item in value)
    return value
