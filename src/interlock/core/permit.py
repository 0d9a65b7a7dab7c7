"""Proof that the gate said yes and that it is on record (P1).

A Permit is a value that only ``gate/`` mints. In Python that is a discipline backed by three checks: the type that
``ToUpstream`` demands, the runtime refusal below, and a lint rule that bans ``GATE_MINT`` outside ``gate/``.
"""

from typing import Final, final

from interlock.core.decision import NO_OBLIGATIONS, Obligations


@final
class _Mint:
    __slots__ = ()


GATE_MINT: Final = _Mint()


@final
class Permit:
    """Allows the bytes of one action to go upstream; its intent entry is recorded.

    ``stored`` is the gateway's own copy of a held action, which is what must run (P3); None where the action ran
    without a hold.
    """

    __slots__ = ("action_id", "obligations", "stored")

    def __init__(
        self,
        *,
        mint: _Mint,
        action_id: str,
        obligations: Obligations = NO_OBLIGATIONS,
        stored: bytes | None = None,
    ) -> None:
        if mint is not GATE_MINT:
            msg = "only the gate mints a Permit"
            raise TypeError(msg)
        self.action_id: Final = action_id
        self.obligations: Final = obligations
        self.stored: Final = stored

    def __repr__(self) -> str:
        return f"Permit({self.action_id!r})"


@final
class SessionPermit:
    """Allows set-up, catalogue look-ups and flow messages of one session; its start entry is recorded."""

    __slots__ = ("session_id",)

    def __init__(self, *, mint: _Mint, session_id: str) -> None:
        if mint is not GATE_MINT:
            msg = "only the gate mints a SessionPermit"
            raise TypeError(msg)
        self.session_id: Final = session_id

    def __repr__(self) -> str:
        return f"SessionPermit({self.session_id!r})"
