"""Descriptions of results and rows.

Spec: PostgreSQL 18, "Message Formats", RowDescription, DataRow, ParameterDescription. Trust: every body is from the
upstream, unverified.
"""

from typing import ClassVar, Self

import msgspec

from interlock.core.errors import UpstreamProtocolError
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body


class Column(msgspec.Struct, frozen=True):
    """One column of a RowDescription."""

    name: str
    table: int
    """Oid of the table that the column comes from, or 0."""
    number: int
    """Attribute number in that table, or 0."""
    type: int
    size: int
    modifier: int
    format: int
    """0 text, 1 binary; always 0 in the description of a statement."""


class RowDescription(msgspec.Struct, frozen=True):
    """The columns of the rows that follow."""

    KIND: ClassVar[int] = ord("T")
    columns: tuple[Column, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int16 n, n x (String name, Int32 table, Int16 number, Int32 type, Int16 size, Int32, Int16).

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "RowDescription", UpstreamProtocolError)
        columns = tuple([_decode_column(fields) for _ in range(fields.fits(fields.count(), 19))])
        fields.end()
        return cls(columns)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"T", b"".join([wire.count(len(self.columns)), *map(_encode_column, self.columns)]))


def _decode_column(fields: Body) -> Column:
    return Column(
        name=fields.text(),
        table=fields.oid(),
        number=fields.int16(),
        type=fields.oid(),
        size=fields.int16(),
        modifier=fields.int32(),
        format=fields.int16(),
    )


def _encode_column(column: Column) -> bytes:
    parts = (
        wire.text(column.name),
        wire.oid(column.table),
        wire.int16(column.number),
        wire.oid(column.type),
        wire.int16(column.size),
        wire.int32(column.modifier),
        wire.int16(column.format),
    )
    return b"".join(parts)


class DataRow(msgspec.Struct, frozen=True):
    """One row; None is NULL."""

    KIND: ClassVar[int] = ord("D")
    values: tuple[bytes | None, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int16 n, n x (Int32 length or -1 for NULL, bytes).

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "DataRow", UpstreamProtocolError)
        values = tuple([fields.value() for _ in range(fields.fits(fields.count(), 4))])
        fields.end()
        return cls(values)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"D", wire.values(self.values))


class ParameterDescription(msgspec.Struct, frozen=True):
    """The types of a statement's parameters."""

    KIND: ClassVar[int] = ord("t")
    types: tuple[int, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int16 n, n x Int32 oid.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "ParameterDescription", UpstreamProtocolError)
        types = tuple([fields.oid() for _ in range(fields.fits(fields.count(), 4))])
        fields.end()
        return cls(types)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"t", b"".join([wire.count(len(self.types)), *map(wire.oid, self.types)]))
