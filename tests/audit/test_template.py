"""Templates yield the very bytes that encoding the entry would."""

import json

from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.entry import Entry, decode, encode_unlimited, fit_object
from interlock.audit.template import intent_template, outcome_template
from interlock.core.decision import Allow
from tests.audit.harness import make_action

TEXT = st.text(max_size=20) | st.sampled_from(["%d", "%b%%", '"\\', "é\ud800", "\x00"])
TEXTS = st.lists(TEXT, max_size=4).map(tuple)
BY = fit_object({"instance": "100%b", "worker": "1"}, 96)


@given(TEXT, TEXTS, TEXTS, TEXT, st.sampled_from(["", "ap-1"]), TEXTS)
def test_intent_from_a_template_equals_the_encoded_entry(
    kind: str, leaves: tuple[str, ...], policies: tuple[str, ...], reason: str, approval: str, people: tuple[str, ...]
) -> None:
    template = intent_template(
        make_action("a-1", kind=kind, leaves=leaves),
        Allow(policies, "%d", approved_by=people),
        session_id="s-1",
        by=BY,
        who=BY,
        on=BY,
        reason=reason,
        approval_id=approval,
        approvers=people,
    )
    leaf = template % (b'"a-1"', 10, 20, b"c" * 64, 30, b"d" * 64, 40, 50)
    assert encode_unlimited(decode(leaf)) == leaf
    fields = json.loads(leaf)
    assert (fields["at"], fields["mono"], fields["payload_bytes"], fields["seq"], fields["session_seq"]) == (
        10,
        20,
        30,
        40,
        50,
    )
    expected = json.loads(encode_unlimited(Entry(kind=kind, leaves=leaves, policies=policies, reason=reason)))
    assert {name: fields.get(name) for name in expected} == expected


def test_outcome_from_a_template_equals_the_encoded_entry() -> None:
    template = outcome_template(session_id="s%", by=BY)
    leaf = template % (b'"a-1"', 1, b'"bytes":9,', 2, b"c" * 64, b"d" * 64, b'"rows":3,', 4, 5, b'"tag":"INSERT 0 1",')
    assert encode_unlimited(decode(leaf)) == leaf
    bare = template % (b'"a-1"', 1, b"", 2, b"c" * 64, b"d" * 64, b"", 4, 5, b"")
    assert encode_unlimited(decode(bare)) == bare
