"""THE PIPELINE: the only caller of policy, approval and audit, and the only minter of permits.

    Ask -> decide -> (hold -> people -> decide again -> consume) -> intent recorded -> Permit
    Done -> outcome recorded

Nothing here knows a protocol. An answer of yes exists only after its intent entry is recorded (P1); whatever fails on
the way (policy engine, storage, recorder) is an answer of no.
"""

from interlock.gate.gate import Gate
from interlock.gate.services import Authenticator, SessionRegistry

__all__ = ["Authenticator", "Gate", "SessionRegistry"]
