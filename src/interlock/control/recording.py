"""Changes as entries of the log, durable before they take effect."""

from collections.abc import Awaitable, Callable, Mapping
from typing import final

from interlock.approval import HeldAction, canonical_person
from interlock.audit.journal import Journal, Sealed
from interlock.core.principal import Principal, PrincipalKind

Append = Callable[[bytes, bytes | None], Awaitable[object]]
"""``RecorderClient.record_durable``: raises ``AuditUnavailable``."""


@final
class RecordedChanges:
    """Implements ``Changes`` over this process's journal and recorder."""

    def __init__(self, *, journal: Journal, append: Append) -> None:
        self._journal = journal
        self._append = append

    async def admin(self, what: str, *, person: str, code: str, detail: Mapping[str, str | int]) -> None:
        """Record a change of the gateway."""
        await self._record(self._journal.admin(what, person=person, code=code, detail=detail))

    async def approval(self, event: str, *, hold: HeldAction, approver: Principal, comment: str, code: str) -> None:
        """Record what a person decided, or tried to."""
        groups = [group for group in hold.groups if group in approver.groups]
        await self._record(
            self._journal.approval(
                event,
                approval_id=hold.id,
                action_id=hold.action_id,
                session_id=hold.session_id,
                groups=groups,
                approvers=(_name(approver),),
                reason=comment,
                code=code,
            )
        )

    async def _record(self, sealed: Sealed) -> None:
        await self._append(*sealed)


def _name(approver: Principal) -> str:
    """Who decided: the person; or, of a token that isn't a person's own, the principal itself, not whom it names."""
    own = approver.kind is PrincipalKind.HUMAN and not approver.actors
    return canonical_person(approver) if own else approver.id
