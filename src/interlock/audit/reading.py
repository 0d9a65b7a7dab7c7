"""Reading the log and the recordings back: for ``log tail``, ``sessions show``, and tests.

Reading needs no recorder and takes no lock. A file counts up to where its successor says it was good, the last
one up to its last whole batch; so every entry is seen once, also across crashes and failed disks. This is the writer's
own parser: it finds accidents. Proof for an auditor is the verifier's, which shares no code with this.
"""

import contextlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.audit.entry import Entry, decode
from interlock.audit.framing import stored_frames
from interlock.audit.keys import KEK_NAME, load_kek, read_keys
from interlock.audit.payload import Payload, PayloadKind, decode_payload
from interlock.audit.recording import (
    COMPRESSED,
    FILE_MAGIC,
    HEAD,
    HEAD_BYTES,
    HEAD_REST,
    MAX_PLAIN_BYTES,
    NONCE,
    RECORD_MAGIC,
    TAG_BYTES,
)
from interlock.audit.segment import FILE_MAGIC as SEGMENT_MAGIC
from interlock.audit.segment import (
    MAX_HEADER_BYTES,
    SegmentHeader,
    batches,
    decode_header,
    encode_header,
    numbered,
    segment_header,
)
from interlock.audit.store import KEYS, KEYS_SUFFIX, LOG, RECORDING_SUFFIX, RECORDINGS, SEGMENT_SUFFIX
from interlock.core.errors import ProtocolError


class LogDamaged(Exception):
    """The log isn't what was written; the text names file and place."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry, its index in the log, and its exact bytes (the leaf)."""

    index: int
    data: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class Recorded:
    """One payload of a session, in the order in which its worker recorded it."""

    at: int
    """When the recorder wrote it, microseconds UTC."""
    channel: int
    seq: int
    payload: Payload


class LogReader:
    """Reads the log of one data directory; a second call of ``entries`` goes on where the first ended."""

    def __init__(self, directory: Path, *, start: int = 0) -> None:
        self._log: Final = directory / LOG
        self._number = 0
        self._offset = 0
        self._index = 0
        self._start = start

    @property
    def next_index(self) -> int:
        """Index of the entry that comes after those read so far."""
        return self._index

    def entries(self) -> Iterator[Logged]:
        """The entries that were written since the last call, so following is polling.

        Raises:
            LogDamaged: a file before the last one is missing, or isn't whole up to where its successor says it is.
        """
        files = dict(numbered(self._log, SEGMENT_SUFFIX))
        if not files:
            return
        self._number = self._number or self._first_file(files)
        while True:
            if self._number not in files:
                msg = f"{self._log}: file {self._number} is missing"
                raise LogDamaged(msg)
            following = files.get(self._number + 1)
            if following is None:
                if self._number < max(files):
                    self._number += 1
                    continue
                yield from self._file(files[self._number], None)
                return
            header = _header(following)
            if header is None:
                msg = f"{following}: the header is damaged"
                raise LogDamaged(msg)
            yield from self._file(files[self._number], header.previous_bytes)
            if header.first != self._index and self._offset <= header.previous_bytes:
                msg = f"{following}: begins with entry {header.first} where {self._index} is due"
                raise LogDamaged(msg)
            self._number, self._offset, self._index = self._number + 1, 0, header.first

    def _file(self, path: Path, end: int | None) -> Iterator[Logged]:
        """The entries of one file from where we are, up to where it is good."""
        if not self._offset:
            header = _header(path)
            if header is None:
                if end is None:
                    return
                msg = f"{path}: the header is damaged"
                raise LogDamaged(msg)
            self._offset, self._index = len(encode_header(SEGMENT_MAGIC, msgspec.to_builtins(header))), header.first
        with path.open("rb") as file:
            file.seek(self._offset)
            data = memoryview(file.read() if end is None else file.read(max(end - self._offset, 0)))
        base = self._offset
        for batch in batches(data, 0, len(data)):
            for leaf in batch.entries:
                if self._index >= self._start:
                    yield Logged(self._index, leaf, _entry(path, leaf))
                self._index += 1
            self._offset = base + batch.end
        if end is not None and self._offset < end:
            msg = f"{path}: damaged at byte {self._offset}"
            raise LogDamaged(msg)

    def _first_file(self, files: dict[int, Path]) -> int:
        """The file that holds the entry to start with."""
        if not self._start:
            return min(files)
        headers = ((number, _header(path)) for number, path in sorted(files.items()))
        return max(
            (n for n, header in headers if header is not None and header.first <= self._start), default=min(files)
        )


def _header(path: Path) -> SegmentHeader | None:
    with path.open("rb") as file:
        found = segment_header(memoryview(file.read(MAX_HEADER_BYTES)))
    return found[0] if found is not None else None


def _entry(path: Path, leaf: bytes) -> Entry:
    try:
        return decode(leaf)
    except msgspec.MsgspecError as error:
        msg = f"{path}: an entry can't be read: {error}"
        raise LogDamaged(msg) from None


class RecordingReader:
    """Decrypts recordings; needs the key-encryption key, so only the recorder's user can."""

    def __init__(self, directory: Path) -> None:
        """Open the key.

        Raises:
            KeyFileError: there is none, or it isn't ours to read.
        """
        self._recordings: Final = directory / RECORDINGS
        self._keys: Final = directory / KEYS
        self._kek: Final = load_kek(self._keys / KEK_NAME)

    def session(self, session_id: str) -> Iterator[Recorded]:
        """What was said and answered in a session, each payload once, in order.

        Raises:
            LogDamaged: a recording isn't what was written.
            KeyFileError: a key isn't.
        """
        seen: dict[int, int] = {}
        for number, path in numbered(self._recordings, RECORDING_SUFFIX):
            key_path = self._keys / f"{path.stem}{KEYS_SUFFIX}"
            if not key_path.exists():
                continue
            keys = {
                name: key
                for name, (session, key) in read_keys(key_path, self._kek, number=number).items()
                if session == session_id
            }
            if keys:
                yield from self._records(path, keys, session_id.encode(), seen)

    def responses(self, session_id: str, action_id: str) -> Iterator[bytes]:
        """The response to one action as it was delivered, in pieces."""
        for recorded in self.session(session_id):
            if recorded.payload.action == action_id and recorded.payload.kind is PayloadKind.RESPONSE:
                yield recorded.payload.content

    def _records(
        self, path: Path, keys: dict[bytes, bytes], session: bytes, seen: dict[int, int]
    ) -> Iterator[Recorded]:
        """The records of one file that these keys open."""
        with path.open("rb") as file:
            header = decode_header(FILE_MAGIC, memoryview(file.read(4096)))
            if header is None:
                return
            file.seek(header[1])
            while len(head := file.read(HEAD_BYTES)) == HEAD_BYTES:
                magic, crc = HEAD.unpack_from(head)
                rest = head[HEAD.size :]
                if magic != RECORD_MAGIC or crc != zlib.crc32(rest):
                    msg = f"{path}: damaged at byte {file.tell() - HEAD_BYTES}"
                    raise LogDamaged(msg)
                length, plain_length, flags, index, channel, _, last_seq, at, name = HEAD_REST.unpack(rest)
                key = keys.get(name)
                if key is None:
                    file.seek(length, 1)
                    continue
                body = file.read(length)
                if len(body) != length:
                    return
                plain = _opened(path, key, index, body, rest + session, flags, plain_length)
                yield from _new_frames(path, plain, channel, at, seen)
                seen[channel] = max(seen.get(channel, 0), last_seq)


def _opened(path: Path, key: bytes, index: int, body: bytes, associated: bytes, flags: int, plain_length: int) -> bytes:
    """The plain text of a record.

    Raises:
        LogDamaged: it isn't what was written.
    """
    try:
        plain = AESGCM(key).decrypt(NONCE.pack(0, index), body, associated)
        if flags & COMPRESSED:
            plain = zstandard.ZstdDecompressor().decompress(plain, max_output_size=min(plain_length, MAX_PLAIN_BYTES))
    except (InvalidTag, zstandard.ZstdError):
        msg = f"{path}: record {index} isn't what was written"
        raise LogDamaged(msg) from None
    if len(plain) != plain_length or len(body) < TAG_BYTES:
        msg = f"{path}: record {index} has another length than it says"
        raise LogDamaged(msg)
    return plain


def _new_frames(path: Path, plain: bytes, channel: int, at: int, seen: dict[int, int]) -> Iterator[Recorded]:
    """The payloads of a record that an earlier record (written twice around a crash) doesn't have."""
    last = seen.get(channel, 0)
    try:
        for seq, payload in stored_frames(memoryview(plain)):
            if seq > last:
                yield Recorded(at, channel, seq, decode_payload(payload))
    except (ProtocolError, ValueError) as error:
        msg = f"{path}: {error}"
        raise LogDamaged(msg) from None


def session_entries(directory: Path, session_id: str) -> Iterator[Logged]:
    """All entries about a session, in the log's order."""
    for logged in LogReader(directory).entries():
        if logged.entry.session == session_id:
            yield logged


def describe(logged: Logged) -> str:
    """One readable line for an entry; everything a client could have put in is escaped."""
    entry = logged.entry
    when = datetime.fromtimestamp(entry.at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    words = [when, entry.type]
    if entry.decision:
        words.append(entry.decision)
    who = _object(entry.who)
    if who:
        words.append(_shown(_who(who)))
    on = _object(entry.on)
    if on.get("resource"):
        words.append(f"on={_shown(on['resource'])}")
    for name, value in (
        ("session", entry.session if not entry.action else ""),
        ("action", entry.action),
        ("kind", entry.kind),
        ("leaves", ",".join(entry.leaves)),
        ("status", entry.status),
        ("code", entry.code),
        ("tag", entry.tag),
        ("rows", str(entry.rows) if entry.rows else ""),
        ("policies", ",".join(entry.policies)),
        ("groups", ",".join(entry.groups) if entry.type in {"decision", "approval", "intent"} else ""),
        ("approval", entry.approval),
        ("approvers", ",".join(entry.approvers)),
        ("reason", entry.reason),
        ("detail", json.dumps(entry.detail, ensure_ascii=True) if entry.detail and not entry.session else ""),
    ):
        if value:
            words.append(f"{name}={_shown(value)}")
    return " ".join(words)


def as_json(logged: Logged) -> dict[str, Any]:
    """An entry as plain data, with its index."""
    found: dict[str, Any] = json.loads(logged.data)
    return {"index": logged.index, **found}


def _who(who: dict[str, Any]) -> str:
    model = who.get("model")
    name = str(who.get("id", ""))
    if isinstance(model, dict):
        vouched = "attested" if model.get("attested") else "claimed"
        name += f" ({model.get('vendor')} {model.get('name')} {model.get('version')}, {vouched})"
    person = who.get("person")
    return f"{name} for {person}" if person else name


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(bytes(raw) or b"{}")
        if isinstance(found, dict):
            return found
    return {}


def _shown(text: str) -> str:
    """Text for a terminal: quoted if it has spaces, nothing in it can move a cursor or reverse a line."""
    clean = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return f'"{clean}"' if " " in clean or not clean else clean
