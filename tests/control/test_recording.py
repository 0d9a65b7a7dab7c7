import asyncio
from dataclasses import replace

import msgspec
import pytest

from interlock.approval import Approvals, MemoryApprovalStore
from interlock.audit.entry import Entry, decode
from interlock.control import RecordedChanges
from interlock.core.decision import Hold
from interlock.core.errors import AuditUnavailable
from tests.audit.harness import make_journal
from tests.control.house import ACTION, NOW, PEOPLE, SESSION


def recorded(*, fails: bool = False) -> tuple[RecordedChanges, list[Entry]]:
    entries: list[Entry] = []

    async def append(entry: bytes, payload: bytes | None) -> int:
        if fails:
            raise AuditUnavailable
        entries.append(decode(entry))
        return len(entries)

    return RecordedChanges(journal=make_journal("0"), append=append), entries


def test_decision_is_recorded_with_the_person_the_group_and_the_action() -> None:
    async def story() -> None:
        changes, entries = recorded()
        approvals = Approvals(store=MemoryApprovalStore(), key=bytes(32), clock=lambda: NOW, random_bytes=bytes)
        hold = await approvals.hold(SESSION, ACTION, Hold(("p",), "h", ("dba", "x"), 60), approval_id="a1", now=NOW)
        approver = replace(PEOPLE["bob-token"], person="Bob@Example")
        await changes.approval("approved", hold=hold, approver=approver, comment="fine", code="")
        (entry,) = entries[:1]
        assert (entry.type, entry.decision, entry.approval) == ("approval", "approved", "a1")
        assert (entry.action, entry.session, entry.reason) == ("s1.1", "s1", "fine")
        assert (entry.groups, entry.approvers) == (("dba",), ("bob@example",))
        agent = replace(PEOPLE["bot-token"], person="bob@example")
        await changes.approval("rejected", hold=hold, approver=agent, comment="", code="approver_not_human")
        assert entries[1].approvers == ("https://idp/|bot",)

    asyncio.run(story())


def test_change_is_recorded_with_who_and_what() -> None:
    changes, entries = recorded()
    asyncio.run(changes.admin("kill", person="local:root", code="", detail={"session": "s1"}))
    assert (entries[0].type, entries[0].decision, entries[0].approvers) == ("admin", "kill", ("local:root",))
    assert msgspec.to_builtins(entries[0].detail) == {"session": "s1"}


def test_recorder_refuses_and_the_change_hears_of_it_P1() -> None:
    changes, _ = recorded(fails=True)
    with pytest.raises(AuditUnavailable):
        asyncio.run(changes.admin("kill", person="x", code="", detail={}))
