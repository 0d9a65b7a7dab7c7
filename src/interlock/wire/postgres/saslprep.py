"""Prepare a password for SCRAM as PostgreSQL does.

Spec: RFC 4013 (SASLprep), RFC 3454 (stringprep).
"""

import stringprep
import unicodedata
from typing import Final

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def prepare_password(password: str) -> bytes:
    """Normalise a password; one that SASLprep prohibits, or leaves nothing of, is used as it is.

    Spec: PostgreSQL 18, "SASL Authentication": "if the user's password contains characters that are prohibited
    [...] the raw password is used".
    """
    raw = password.encode("utf-8", "surrogateescape")
    if password.isascii() and password.isprintable():
        return raw
    mapped = "".join(
        [" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)],
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(is_prohibited(c) for c in prepared for is_prohibited in _PROHIBITED):
        return raw
    if any(map(stringprep.in_table_d1, prepared)) and not _is_right_to_left(prepared):
        return raw
    return prepared.encode("utf-8", "surrogateescape")


def _is_right_to_left(prepared: str) -> bool:
    """Tell whether text with right-to-left characters is wholly so: RFC 3454 section 6, rules 2 and 3."""
    ends = stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])
    return ends and not any(map(stringprep.in_table_d2, prepared))
