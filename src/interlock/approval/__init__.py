r"""ASK: a held action waits here until people release or refuse it.

    Hold -> HeldAction (waiting) -> verdicts -> released -> consumed (exactly once)
                                 \-> denied | expired | withdrawn

What runs and what the approver reads are stored sealed (AES-256-GCM, bound to approval, digest, session and
principal) and destroyed when the hold ends in any way (P7). Who may approve is decided in ``duties.py``, purely: a
person, of a needed group, who is neither the requester nor anyone in the requester's chain (P9). This room knows no
policy, no log and no database: it declares ``ApprovalStore``, which ``storage/`` implements; the gate asks policy
again with the approving groups, and records every step.
"""

from interlock.approval.approvals import Approvals, HoldLimits
from interlock.approval.duties import canonical_person
from interlock.approval.held import (
    HeldAction,
    HoldState,
    HoldView,
    Refused,
    Rejected,
    Released,
    Requester,
    Verdict,
    VerdictKind,
)
from interlock.approval.memory import MemoryApprovalStore
from interlock.approval.store import ApprovalStore

__all__ = [
    "ApprovalStore",
    "Approvals",
    "HeldAction",
    "HoldLimits",
    "HoldState",
    "HoldView",
    "MemoryApprovalStore",
    "Refused",
    "Rejected",
    "Released",
    "Requester",
    "Verdict",
    "VerdictKind",
    "canonical_person",
]
