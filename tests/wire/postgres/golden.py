"""One table of messages and their bytes, used to decode, to encode, and to cut streams.

The bytes are written out from the specification's layouts (PostgreSQL 18, "Message Formats"); those of a login are
also in ``tests/protocols/postgres/recorded``, as a real server sent them.
"""

from dataclasses import dataclass
from typing import Any

from interlock.core.secret import Secret
from interlock.wire.postgres.authentication import Authentication, PasswordMessage, SASLInitialResponse, SASLResponse
from interlock.wire.postgres.backend import (
    BackendKeyData,
    CommandComplete,
    FunctionCallResponse,
    NegotiateProtocolVersion,
    NotificationResponse,
    ParameterStatus,
    ReadyForQuery,
)
from interlock.wire.postgres.copying import (
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyFail,
    CopyInResponse,
    CopyOutResponse,
)
from interlock.wire.postgres.frontend import (
    Bind,
    Close,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Query,
    Sync,
    Terminate,
)
from interlock.wire.postgres.replies import ErrorResponse, NoticeResponse
from interlock.wire.postgres.rows import Column, DataRow, ParameterDescription, RowDescription
from interlock.wire.postgres.startup import CancelRequest, GSSENCRequest, SSLRequest, StartupMessage


@dataclass(frozen=True)
class Golden:
    """One message and what it is on the wire."""

    message: Any
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw[5:]

    def __str__(self) -> str:
        return type(self.message).__name__


FRONTEND: tuple[Golden, ...] = (
    Golden(Query(b"SELECT 1"), b"Q\0\0\0\x0dSELECT 1\0"),
    Golden(Query(b""), b"Q\0\0\0\x05\0"),
    Golden(Parse(b"s1", b"SELECT $1", (23,)), b"P\0\0\0\x17s1\0SELECT $1\0\0\x01\0\0\0\x17"),
    Golden(Parse(b"", b"", (0xFFFFFFFF,)), b"P\0\0\0\x0c\0\0\0\x01\xff\xff\xff\xff"),
    Golden(
        Bind(b"p", b"s1", (0, 1), (b"42", None), (1,)),
        b"B\0\0\0\x1f" + b"p\0s1\0" + b"\0\x02\0\0\0\x01" + b"\0\x02\0\0\0\x0242\xff\xff\xff\xff" + b"\0\x01\0\x01",
    ),
    Golden(Bind(b"", b""), b"B\0\0\0\x0c\0\0\0\0\0\0\0\0"),
    Golden(Describe("S", b"s1"), b"D\0\0\0\x08Ss1\0"),
    Golden(Describe("P", b""), b"D\0\0\0\x06P\0"),
    Golden(Close("P", b"p"), b"C\0\0\0\x07Pp\0"),
    Golden(Execute(b"p", 100), b"E\0\0\0\x0ap\0\0\0\0\x64"),
    Golden(Execute(b"", -1), b"E\0\0\0\x09\0\xff\xff\xff\xff"),
    Golden(Sync(), b"S\0\0\0\x04"),
    Golden(Flush(), b"H\0\0\0\x04"),
    Golden(Terminate(), b"X\0\0\0\x04"),
    Golden(
        FunctionCall(1598, (1,), (b"\0\0\0\x01", None), 1),
        b"F\0\0\0\x1c\0\0\x06\x3e\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff\0\x01",
    ),
)
COPY_FROM_CLIENT: tuple[Golden, ...] = (
    Golden(CopyData(b"1\tx\n"), b"d\0\0\0\x081\tx\n"),
    Golden(CopyDone(), b"c\0\0\0\x04"),
    Golden(CopyFail("no"), b"f\0\0\0\x07no\0"),
)
COPY_FROM_UPSTREAM: tuple[Golden, ...] = (
    Golden(CopyInResponse(0, (0, 0)), b"G\0\0\0\x0b\0\0\x02\0\0\0\0"),
    Golden(CopyOutResponse(1, (1,)), b"H\0\0\0\x09\x01\0\x01\0\x01"),
    Golden(CopyBothResponse(0, ()), b"W\0\0\0\x07\0\0\0"),
)
AUTHENTICATION: tuple[Golden, ...] = (
    Golden(Authentication(0), b"R\0\0\0\x08\0\0\0\0"),
    Golden(Authentication(3), b"R\0\0\0\x08\0\0\0\x03"),
    Golden(Authentication(5, b"salt"), b"R\0\0\0\x0c\0\0\0\x05salt"),
    Golden(Authentication(8, b"gss"), b"R\0\0\0\x0b\0\0\0\x08gss"),
    Golden(
        Authentication(10, mechanisms=("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")),
        b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
    ),
    Golden(Authentication(11, b"r=x"), b"R\0\0\0\x0b\0\0\0\x0br=x"),
    Golden(Authentication(12, b"v=x"), b"R\0\0\0\x0b\0\0\0\x0cv=x"),
)
PASSWORDS: tuple[Golden, ...] = (
    Golden(PasswordMessage(Secret("hunter2")), b"p\0\0\0\x0chunter2\0"),
    Golden(SASLInitialResponse("SCRAM-SHA-256", b"n,,"), b"p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\x03n,,"),
    Golden(SASLInitialResponse("OAUTHBEARER", None), b"p\0\0\0\x14OAUTHBEARER\0\xff\xff\xff\xff"),
    Golden(SASLResponse(b"c=biws"), b"p\0\0\0\x0ac=biws"),
)
BACKEND: tuple[Golden, ...] = (
    Golden(BackendKeyData(7, b"\1\2\3\4"), b"K\0\0\0\x0c\0\0\0\x07\1\2\3\4"),
    Golden(BackendKeyData(7, b"k" * 32), b"K\0\0\0\x28\0\0\0\x07" + b"k" * 32),
    Golden(ParameterStatus("TimeZone", "UTC"), b"S\0\0\0\x11TimeZone\0UTC\0"),
    Golden(ReadyForQuery("I"), b"Z\0\0\0\x05I"),
    Golden(ReadyForQuery("E"), b"Z\0\0\0\x05E"),
    Golden(CommandComplete("DELETE 3"), b"C\0\0\0\x0dDELETE 3\0"),
    Golden(NotificationResponse(7, "jobs", "x"), b"A\0\0\0\x0f\0\0\0\x07jobs\0x\0"),
    Golden(FunctionCallResponse(b"\0\0\0\x01"), b"V\0\0\0\x0c\0\0\0\x04\0\0\0\x01"),
    Golden(FunctionCallResponse(None), b"V\0\0\0\x08\xff\xff\xff\xff"),
    Golden(NegotiateProtocolVersion(3 << 16, ("_pq_.x",)), b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0"),
)
ROWS: tuple[Golden, ...] = (
    Golden(
        RowDescription((Column("id", 16384, 1, 23, 4, -1, 0), Column("?", 0, 0, 25, -1, -1, 1))),
        b"T\0\0\0\x2f\0\x02"
        b"id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"
        b"?\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01",
    ),
    Golden(DataRow((b"1", None, b"")), b"D\0\0\0\x13\0\x03\0\0\0\x011\xff\xff\xff\xff\0\0\0\0"),
    Golden(ParameterDescription((23, 25)), b"t\0\0\0\x0e\0\x02\0\0\0\x17\0\0\0\x19"),
)
REPLIES: tuple[Golden, ...] = (
    Golden(ErrorResponse((("S", "ERROR"), ("C", "42501"))), b"E\0\0\0\x13SERROR\0C42501\0\0"),
    Golden(NoticeResponse((("M", "h\udcffi"),)), b"N\0\0\0\x0aMh\xffi\0\0"),
)
FROM_CLIENT = FRONTEND + COPY_FROM_CLIENT + PASSWORDS
FROM_UPSTREAM = BACKEND + ROWS + REPLIES + COPY_FROM_UPSTREAM + COPY_FROM_CLIENT[:2] + AUTHENTICATION

STARTUP: tuple[Golden, ...] = (
    Golden(
        StartupMessage(3 << 16 | 2, {"user": "shop", "database": "d", "_pq_.x": "1"}),
        b"\0\0\0\x27\0\x03\0\x02user\0shop\0database\0d\0_pq_.x\x001\0\0",
    ),
    Golden(StartupMessage(3 << 16, {}), b"\0\0\0\x09\0\x03\0\0\0"),
    Golden(CancelRequest(7, b"\1\2\3\4"), b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\1\2\3\4"),
    Golden(CancelRequest(-1, b"k" * 256), b"\0\0\x01\x0c\x04\xd2\x16\x2e\xff\xff\xff\xff" + b"k" * 256),
    Golden(SSLRequest(), b"\0\0\0\x08\x04\xd2\x16\x2f"),
    Golden(GSSENCRequest(), b"\0\0\0\x08\x04\xd2\x16\x30"),
)
