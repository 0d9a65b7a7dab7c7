"""Walk the bodies that come once a statement, Bind above all; hot, compiled where a C compiler exists."""

from mypy_extensions import i64

from interlock.core.errors import ClientProtocolError

BindFields = tuple[bytes, bytes, tuple[int, ...], tuple[bytes | None, ...], tuple[int, ...]]


def _short(body: bytes, at: i64) -> i64:
    high: i64 = body[at]
    low: i64 = body[at + 1]
    return (high << 8) | low


def _formats(body: bytes, at: i64, count: i64) -> tuple[int, ...]:
    """Take ``count`` format codes that are known to be there."""
    if count == 0:
        return ()
    codes: list[int] = []
    position: i64 = at
    for _ in range(count):
        code: i64 = _short(body, position)
        if code > 1:
            msg = "Bind: format code is neither 0 nor 1"
            raise ClientProtocolError(msg)
        codes.append(int(code))
        position += 2
    return tuple(codes)


def decode_bind(body: bytes) -> BindFields:
    """Decode a Bind body into portal, statement, parameter formats, parameters, result formats.

    Spec: PostgreSQL 18, "Message Formats", Bind. Trust: ``body`` is from the client, unverified.
    Layout: String portal, String statement, Int16 n and n x Int16 format, Int16 p and p x (Int32 length or -1 for
    NULL, bytes), Int16 r and r x Int16 format. n is 0, 1 or p.

    Raises:
        ClientProtocolError: lengths don't add up to len(body), a format isn't 0 or 1, n is neither 0, 1 nor p.
    """
    size: i64 = len(body)
    portal_end: i64 = body.find(b"\0")
    statement_end: i64 = body.find(b"\0", int(portal_end + 1)) if portal_end >= 0 else -1
    if statement_end < 0 or statement_end + 3 > size:
        msg = "Bind: ends early"
        raise ClientProtocolError(msg)
    at: i64 = statement_end + 1
    format_count: i64 = _short(body, at)
    at += 2
    if at + format_count * 2 + 2 > size:
        msg = "Bind: ends early"
        raise ClientProtocolError(msg)
    formats = _formats(body, at, format_count)
    at += format_count * 2
    parameter_count: i64 = _short(body, at)
    at += 2
    if format_count > 1 and format_count != parameter_count:
        msg = f"Bind: {format_count} formats for {parameter_count} parameters"
        raise ClientProtocolError(msg)
    parameters: list[bytes | None] = []
    for _ in range(parameter_count):
        if at + 4 > size:
            msg = "Bind: ends early"
            raise ClientProtocolError(msg)
        length: i64 = (_short(body, at) << 16) | _short(body, at + 2)
        at += 4
        if length == 0xFFFFFFFF:
            parameters.append(None)
            continue
        if length > size - at:
            msg = "Bind: a parameter is longer than the message"
            raise ClientProtocolError(msg)
        parameters.append(body[at : at + length])
        at += length
    if at + 2 > size:
        msg = "Bind: ends early"
        raise ClientProtocolError(msg)
    result_count: i64 = _short(body, at)
    at += 2
    if at + result_count * 2 != size:
        msg = "Bind: lengths don't add up"
        raise ClientProtocolError(msg)
    results = _formats(body, at, result_count)
    return body[:portal_end], body[portal_end + 1 : statement_end], formats, tuple(parameters), results
