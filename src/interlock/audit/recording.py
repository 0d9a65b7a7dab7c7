"""The recordings' files: ``recordings/00000001.rec`` with what was said and answered, encrypted for each session.

Layout of a file: header as in the log's (magic ``ILKREC1``), then records.
Layout of a record: 4s magic, u32 CRC-32 of the rest of the head, u32 body length, u32 plain length, u8 flags
(1 = zstd), u64 index, u64 channel, u64 first seq, u64 last seq, u64 at (microseconds UTC), 32s key id, body.
The body is AES-256-GCM of the session's frames of one round (headers and payloads as in ``framing.py``), one after
another, compressed if that helps. Nonce: the record's index in the file, which never repeats under a key, because a key
belongs to one session in one file, a file to one run of the recorder, and an index is never given out twice, not even
after a failed write. Associated data: the head and the session's id.

After a crash the same frames may be recorded twice; a reader drops what it has by channel and seq.
"""

import struct
import zlib
from pathlib import Path
from typing import Final

import zstandard

from interlock.audit.disk import Disk
from interlock.audit.framing import Group
from interlock.audit.keys import KeyWriter
from interlock.audit.segment import encode_header

FILE_MAGIC: Final = b"ILKREC1\n"
RECORD_MAGIC: Final = b"IlkR"
HEAD: Final = struct.Struct(">4sI")
HEAD_REST: Final = struct.Struct(">IIBQQQQQ32s")
HEAD_BYTES: Final = HEAD.size + HEAD_REST.size
NONCE: Final = struct.Struct(">IQ")
COMPRESSED: Final = 1
TAG_BYTES: Final = 16
MAX_PLAIN_BYTES: Final = 32 * 1024 * 1024
_LEVEL: Final = 1
_WORTH_COMPRESSING: Final = 512


class RecordingWriter:
    """Appends records to one new file, each encrypted under its session's key for this file."""

    def __init__(self, disk: Disk, path: Path, keys: KeyWriter, *, number: int, at: int, level: int = _LEVEL) -> None:
        self._disk = disk
        self.path: Final = path
        self.number: Final = number
        self.begun_at: Final = at
        self._keys = keys
        self._compress = zstandard.ZstdCompressor(level=level, write_content_size=True).compress
        self._index = 0
        self._dirty = False
        self._fd = disk.create(path)
        self.size = 0
        self._committed = 0
        try:
            self._write(encode_header(FILE_MAGIC, {"at": at, "number": number, "v": 1}))
            self.sync()
        except OSError:
            disk.close(self._fd)
            disk.remove(path)
            raise

    def append(self, channel: int, session: bytes, group: Group, at: int) -> None:
        """Record the payload frames that one channel had for one session.

        Raises:
            OSError: the disk; call ``rollback`` or give the file up.
        """
        plain = b"".join(group.stored)
        flags = 0
        body = plain
        if len(plain) >= _WORTH_COMPRESSING:
            body = self._compress(plain)
            flags = COMPRESSED
        key_id, cipher = self._keys.key(session)
        self._index += 1
        rest = HEAD_REST.pack(
            len(body) + TAG_BYTES, len(plain), flags, self._index, channel, group.first_seq, group.last_seq, at, key_id
        )
        sealed = cipher.encrypt(NONCE.pack(0, self._index), body, rest + session)
        self._write(b"".join((HEAD.pack(RECORD_MAGIC, zlib.crc32(rest)), rest, sealed)))

    def sync(self) -> None:
        """Make everything written durable, keys first.

        Raises:
            OSError: nothing is known about what is on disk: give the file up.
        """
        self._keys.sync()
        if self._dirty:
            self._disk.sync(self._fd)
            self._dirty = False
            self._committed = self.size

    def rollback(self) -> None:
        """Cut off what isn't committed; indices go on, so no nonce comes back.

        Raises:
            OSError: the disk; give the file up.
        """
        self._keys.rollback()
        self._disk.truncate(self._fd, self._committed)
        self.size = self._committed
        self._dirty = False

    def close(self) -> None:
        self._keys.close()
        self._disk.close(self._fd)

    def _write(self, data: bytes) -> None:
        self._dirty = True
        self._disk.write(self._fd, data)
        self.size += len(data)
