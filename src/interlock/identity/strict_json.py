"""JSON as tokens and key sets may use it: one meaning, bounded depth."""

import json
from typing import Any

from interlock.core.errors import AuthenticationError


def decode_object(data: bytes, what: str) -> dict[str, Any]:
    """Decode one JSON object in UTF-8, refusing whatever two readers could read differently.

    Trust: from the client or an issuer's server, unverified; the caller has bounded its size.

    Raises:
        AuthenticationError: not UTF-8, JSON or an object, a key twice, NaN or Infinity, a lone surrogate, too deep.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = f"the {what} isn't strict JSON"
        raise AuthenticationError(reason) from error
    if not isinstance(value, dict):
        reason = f"the {what} isn't a JSON object"
        raise AuthenticationError(reason)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        msg = "a key occurs twice"
        raise ValueError(msg)
    return decoded


def _no_constant(name: str) -> float:
    msg = f"{name} isn't JSON"
    raise ValueError(msg)
