"""Keys of recordings: one key-encryption key, and for each session in each recordings file a key of its own.

``keys/recordings.kek`` is 32 random bytes, mode 0600. ``keys/00000001.keys`` holds the wrapped keys of
``recordings/00000001.rec``: apart from the recordings, so that destroying a key destroys what it opens, wherever copies
of the recording are, and pruning a recordings file prunes its keys.

Layout of a record: 4s magic, u8 length and session id, 32s key id, 12s nonce, 48s wrapped key, u32 CRC-32 of the rest.
Wrapping is AES-256-GCM under the key-encryption key with the file's number, session and key id as associated data. The
key id is a hash of the key, so a recording can't be opened with a second key that someone made to fit (GCM alone does
not commit to its key).
"""

import hashlib
import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.audit.disk import Disk

KEY_BYTES: Final = 32
KEK_NAME: Final = "recordings.kek"
_MAGIC: Final = b"IlkK"
_NONCE_BYTES: Final = 12
_WRAPPED_BYTES: Final = KEY_BYTES + 16
_CRC: Final = struct.Struct(">I")
_NUMBER: Final = struct.Struct(">Q")
_CACHED_SESSIONS: Final = 10_000


class KeyFileError(Exception):
    """A key file can't be used; the text is for operators."""


def load_kek(path: Path) -> bytes:
    """Read the key-encryption key; nobody but its owner may read it.

    Raises:
        KeyFileError: missing, readable by others, or not a key.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise KeyFileError(msg) from None
    with open(fd, "rb") as file:  # noqa: PTH123 - of a descriptor, so that mode and content are of one file
        if os.fstat(fd).st_mode & 0o077:
            msg = f"{path}: others than its owner can read it: chmod 600 it"
            raise KeyFileError(msg)
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        msg = f"{path}: not a key of {KEY_BYTES} bytes"
        raise KeyFileError(msg)
    return key


def make_kek(path: Path, random: Callable[[int], bytes], disk: Disk) -> bytes:
    """Make the key-encryption key where there is none: whole or not at all, also if we crash here."""
    key = random(KEY_BYTES)
    fresh = path.with_name(f"{path.name}.new")
    disk.remove(fresh)
    fd = disk.create(fresh)
    try:
        disk.write(fd, key)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(fresh, path)
    disk.sync_directory(path.parent)
    return key


def key_id(key: bytes) -> bytes:
    """What a record names its key by: a commitment to it."""
    return hashlib.sha256(b"interlock recording key\0" + key).digest()


class KeyWriter:
    """Makes and stores the session keys of one recordings file."""

    def __init__(self, disk: Disk, path: Path, kek: bytes, *, number: int, random: Callable[[int], bytes]) -> None:
        self._disk = disk
        self.path: Final = path
        self._kek = AESGCM(kek)
        self._number = _NUMBER.pack(number)
        self._random = random
        self._keys: OrderedDict[bytes, tuple[bytes, AESGCM]] = OrderedDict()
        self._uncommitted: list[bytes] = []
        self._fd = disk.create(path)
        self._size = 0
        self._committed = 0
        self._dirty = True

    def key(self, session: bytes) -> tuple[bytes, AESGCM]:
        """The session's key id and cipher; a new one is written down first.

        Raises:
            OSError: the disk.
        """
        known = self._keys.get(session)
        if known is not None:
            return known
        key = self._random(KEY_BYTES)
        name = key_id(key)
        nonce = self._random(_NONCE_BYTES)
        wrapped = self._kek.encrypt(nonce, key, self._number + session + name)
        record = b"".join((_MAGIC, bytes((len(session),)), session, name, nonce, wrapped))
        self._dirty = True
        data = record + _CRC.pack(zlib.crc32(record))
        self._disk.write(self._fd, data)
        self._size += len(data)
        made = (name, AESGCM(key))
        self._keys[session] = made
        self._uncommitted.append(session)
        if len(self._keys) > _CACHED_SESSIONS:
            self._keys.popitem(last=False)
        return made

    def sync(self) -> None:
        """Make new keys durable."""
        if self._dirty:
            self._disk.sync(self._fd)
            self._dirty = False
            self._committed = self._size
            self._uncommitted.clear()

    def rollback(self) -> None:
        """Forget keys that aren't committed."""
        self._disk.truncate(self._fd, self._committed)
        self._size = self._committed
        for session in self._uncommitted:
            self._keys.pop(session, None)
        self._uncommitted.clear()
        self._dirty = False

    def close(self) -> None:
        self._disk.close(self._fd)


def read_keys(path: Path, kek: bytes, *, number: int) -> dict[bytes, tuple[str, bytes]]:
    """Unwrap a key file: session and key by key id; stops at a torn end, and leaves out keys that were destroyed.

    Raises:
        KeyFileError: a key doesn't unwrap: another key-encryption key, or somebody changed the file.
    """
    data = path.read_bytes()
    cipher = AESGCM(kek)
    found: dict[bytes, tuple[str, bytes]] = {}
    at = 0
    while at + 5 <= len(data) and data[at : at + 4] == _MAGIC:
        session_end = at + 5 + data[at + 4]
        name_end = session_end + KEY_BYTES
        nonce_end = name_end + _NONCE_BYTES
        end = nonce_end + _WRAPPED_BYTES
        if end + 4 > len(data) or _CRC.unpack_from(data, end)[0] != zlib.crc32(data[at:end]):
            break
        session, name = data[at + 5 : session_end], data[session_end:name_end]
        try:
            key = cipher.decrypt(data[name_end:nonce_end], data[nonce_end:end], _NUMBER.pack(number) + session + name)
        except InvalidTag:
            msg = f"{path}: a key doesn't open: wrong key-encryption key, or a changed file"
            raise KeyFileError(msg) from None
        if key_id(key) != name:
            msg = f"{path}: a key isn't the one it is named for"
            raise KeyFileError(msg)
        found[name] = (session.decode(), key)
        at = end + 4
    return found
