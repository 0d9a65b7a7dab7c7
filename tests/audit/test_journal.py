"""From nouns to sealed entries: chained, committed to their payloads, with nothing in a leaf that could be linked."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.entry import MAX_ENTRY_BYTES, decode, digest
from interlock.audit.journal import Sealed
from interlock.audit.payload import SALT_BYTES, PayloadKind, decode_payload
from interlock.core.decision import Allow, Deny, Hold
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.principal import Actor
from tests.audit.harness import ALLOW, good_outcome, make_action, make_journal, make_session

HOSTILE = st.text(max_size=10) | st.sampled_from(["\x00" * 3000, '"' * 4000, "é" * 2500, "\ud800x", "%s%d"])


def one_of_each() -> list[Sealed]:
    journal = make_journal().session(make_session())
    action = make_action("s-1.1")
    return [
        journal.start(tls=True, policies=("p",), policy_hash="h", parameters={"application_name": "psql"}),
        journal.decision(action, Hold(("p",), "h", ("dba",), 60), approval_id="ap-1"),
        journal.approval("requested", approval_id="ap-1", action_id="s-1.1", groups=("dba",)),
        journal.approval("consumed", approval_id="ap-1", action_id="s-1.1", approvers=("bob",)),
        journal.intent(
            action, Allow(("p",), "h", approved_by=("dba",)), reason="why", approval_id="ap-1", approvers=("bob",)
        ),
        journal.outcome("s-1.1", good_outcome()),
        journal.intent(make_action("s-1.2"), ALLOW),
        journal.outcome("s-1.2", Outcome(OutcomeStatus.ERROR, code="42P01", masked={"pii.email": 2})),
        journal.decision(make_action("s-1.3"), Deny("policy_denied", "no", ("p",), "h")),
        journal.end("client_closed"),
    ]


def test_each_entry_of_a_session_names_the_one_before_it() -> None:
    sealed = one_of_each()
    found = [decode(leaf) for leaf, _ in sealed]
    assert [entry.session_seq for entry in found] == list(range(1, len(sealed) + 1))
    assert [entry.seq for entry in found] == list(range(1, len(sealed) + 1))
    assert [entry.prev for entry in found] == ["", *(digest(leaf) for leaf, _ in sealed[:-1])]
    assert [entry.type for entry in found] == [
        "session_start",
        "decision",
        "approval",
        "approval",
        "intent",
        "outcome",
        "intent",
        "outcome",
        "decision",
        "session_end",
    ]


def test_each_payload_is_what_its_entry_commits_to() -> None:
    for leaf, payload in one_of_each():
        if payload is not None:
            content = decode_payload(payload).content
            assert hashlib.sha256(content).hexdigest() == decode(leaf).payload
            assert decode(leaf).payload_bytes == len(content) - SALT_BYTES


def test_plain_outcome_commits_to_the_response_with_the_salt_of_its_intent() -> None:
    journal = make_journal().session(make_session())
    _, payload = journal.intent(make_action("s-1.1"), ALLOW)
    leaf, nothing = journal.outcome("s-1.1", good_outcome(b"the row"))
    assert payload is not None
    salt = decode_payload(payload).content[:SALT_BYTES]
    assert nothing is None
    assert decode(leaf).payload == hashlib.sha256(salt + hashlib.sha256(b"the row").digest()).hexdigest()


def test_no_leaf_holds_a_hash_of_what_was_said_or_answered() -> None:
    said, answered = b"SELECT 'yes'", b"yes"
    journal = make_journal().session(make_session())
    leaves = [
        journal.intent(make_action("s-1.1", said), ALLOW)[0],
        journal.outcome("s-1.1", good_outcome(answered))[0],
        journal.decision(make_action("s-1.2", said), Deny("policy_denied", "no"))[0],
        journal.outcome("s-1.2", good_outcome(answered))[0],
    ]
    for leaf in leaves:
        assert hashlib.sha256(said).hexdigest().encode() not in leaf
        assert hashlib.sha256(answered).hexdigest().encode() not in leaf
        assert said not in leaf
    assert len({decode(leaf).payload for leaf in leaves}) == 4


@given(HOSTILE, HOSTILE, HOSTILE, st.lists(HOSTILE, max_size=30).map(tuple))
def test_hostile_names_never_make_a_leaf_too_long_and_are_whole_in_the_payload_P10(
    name: str, reason: str, tag: str, texts: tuple[str, ...]
) -> None:
    session = make_session(subject=name, issuer=name, person=name, actors=tuple(Actor(name, name) for _ in texts))
    journal = make_journal().session(session)
    action = make_action("s-1.1", leaves=texts, kind=name)
    sealed = [
        journal.start(tls=False, policies=texts, parameters={name: reason}),
        journal.intent(action, Allow(texts, reason), reason=reason),
        journal.outcome("s-1.1", Outcome(OutcomeStatus.OK, tag=tag, digest="0" * 64)),
        journal.decision(action, Hold(texts, reason, texts, 5), reason=reason),
        journal.approval("denied", approval_id="a", action_id="s-1.1", approvers=texts, reason=reason),
        journal.end(name),
        make_journal().admin(name, person=reason, detail={name: tag}),
    ]
    previous = ""
    for leaf, payload in sealed:
        assert len(leaf) <= MAX_ENTRY_BYTES
        entry = decode(leaf)
        if entry.session_seq:
            assert entry.prev == previous
            previous = digest(leaf)
        if entry.cut:
            assert payload is not None
            content = decode_payload(payload).content
            assert hashlib.sha256(content).hexdigest() == entry.payload
            if "reason" in entry.cut:
                assert json.dumps(reason, ensure_ascii=False).encode("utf-8", "surrogatepass") in content


def test_cached_template_is_not_used_for_another_decision() -> None:
    journal = make_journal().session(make_session())
    action = make_action("s-1.1")
    first = decode(journal.intent(action, Allow(("old",), "1"))[0])
    second = decode(journal.intent(action, Allow(("new",), "2"))[0])
    third = decode(journal.intent(action, Allow(("new",), "2"), reason="why")[0])
    assert [first.policies, second.policies, third.policies] == [("old",), ("new",), ("new",)]
    assert [second.policy_hash, third.reason] == ["2", "why"]


def test_cut_intent_keeps_request_and_details_in_one_payload() -> None:
    journal = make_journal().session(make_session())
    many = tuple(f"write/postgres.{number}" for number in range(500))
    leaf, payload = journal.intent(make_action("s-1.1", b"BATCH", leaves=many), ALLOW)
    assert payload is not None
    found = decode_payload(payload)
    assert found.kind is PayloadKind.REQUEST
    length = int.from_bytes(found.content[48:52], "big")
    assert json.loads(found.content[52 : 52 + length])["leaves"] == list(many)
    assert found.content[52 + length :] == b"BATCH"
    assert decode(leaf).cut == {"leaves": 500}


def test_id_longer_than_an_entry_has_room_for_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        make_journal().session(make_session("s" * 97))


def test_salts_never_repeat() -> None:
    journal = make_journal()
    assert len({journal.salt() for _ in range(2000)}) == 2000


def test_entries_outside_sessions_say_what_they_are() -> None:
    journal = make_journal()
    sealed = [
        journal.admin("kill", person="bob", detail={"session": "s-1"}),
        journal.approval("approved", approval_id="ap", action_id="s-1.1", session_id="s-1", approvers=("bob",)),
        journal.heartbeat({"channels": 2}),
        journal.gap("audit_unavailable", lost=["0" * 64], count=1),
        journal.recorder_start({"durability": "strict"}),
        journal.recorder_stop("closing"),
    ]
    found = [decode(leaf) for leaf, _ in sealed]
    assert [entry.type for entry in found] == [
        "admin",
        "approval",
        "heartbeat",
        "gap",
        "recorder_start",
        "recorder_stop",
    ]
    assert all(entry.session_seq == 0 and entry.prev == "" and entry.v == 1 for entry in found)
