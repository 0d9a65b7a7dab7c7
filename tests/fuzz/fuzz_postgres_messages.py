"""Fuzz every PostgreSQL message codec: a body decodes to what encodes back to it, or the documented error.

python tests/fuzz/fuzz_postgres_messages.py -max_total_time=60
"""

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["interlock.wire"]):
    from interlock.core.errors import LimitExceeded, ProtocolError
    from interlock.wire.postgres import authentication, backend, copying, frontend, replies, rows, startup

CODECS: tuple[Any, ...] = (
    frontend.Query,
    frontend.Parse,
    frontend.Bind,
    frontend.Describe,
    frontend.Close,
    frontend.Execute,
    frontend.Sync,
    frontend.Flush,
    frontend.Terminate,
    frontend.FunctionCall,
    copying.CopyData,
    copying.CopyDone,
    copying.CopyFail,
    copying.CopyInResponse,
    copying.CopyOutResponse,
    copying.CopyBothResponse,
    rows.RowDescription,
    rows.DataRow,
    rows.ParameterDescription,
    replies.ErrorResponse,
    replies.NoticeResponse,
    backend.BackendKeyData,
    backend.ParameterStatus,
    backend.ReadyForQuery,
    backend.CommandComplete,
    backend.NotificationResponse,
    backend.FunctionCallResponse,
    backend.NegotiateProtocolVersion,
    authentication.Authentication,
    authentication.PasswordMessage,
    authentication.SASLInitialResponse,
    authentication.SASLResponse,
)


def test_one_input(data: bytes) -> None:
    """Decode one body as every kind, and as a start-up packet."""
    for codec in CODECS:
        try:
            message = codec.decode(data)
        except ProtocolError:
            continue
        if message.encode()[5:] != data:
            msg = f"{codec.__name__} reads what it doesn't write"
            raise AssertionError(msg)
    try:
        packet = startup.decode_startup(data)
    except (ProtocolError, LimitExceeded):
        return
    if packet.encode() != data:
        msg = "a start-up packet reads as what it isn't"
        raise AssertionError(msg)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
