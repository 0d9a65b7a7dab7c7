import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.core.action import Action
from interlock.core.decision import Allow, Decision, Deny, Hold, Obligations
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.policy import Context, Decider, PolicySet, Totals

Make = Callable[..., Any]


READ = "read/postgres.select"
DELETE = "destroy/postgres.delete"

PERMIT = '@id("permit") permit (principal in Group::"team", action, resource);'
HOLD = """
@id("hold") @approvers("dba") @expires("10m")
forbid (principal, action in Action::"destroy", resource) unless { context.approved_by.contains("dba") };
"""


def decider(*policies: str) -> Decider:
    return Decider(PolicySet.from_sources({"test.cedar": "\n".join(policies)}))


def code(answer: Decision) -> str:
    return answer.code if isinstance(answer, Deny) else ""


def obligations(answer: Decision) -> Obligations:
    assert not isinstance(answer, Deny)
    return answer.obligations


@pytest.fixture(scope="module")
def usual() -> Decider:
    return decider(PERMIT, HOLD)


def test_empty_policy_set_denies_everything_P2(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = decider().decide(make_principal("team"), make_action(READ), make_resource(), context)

    assert isinstance(answer, Deny)
    assert code(answer) == "policy_denied"


def test_permitted_action_is_allowed_and_names_its_policy(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = usual.decide(make_principal("team"), make_action(READ), make_resource(), context)

    assert answer == Allow(("permit",), usual.policy_set.hash)


def test_action_that_lacks_only_approval_is_held_for_those_groups(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = usual.decide(make_principal("team"), make_action(DELETE, READ), make_resource(), context)

    assert answer == Hold(("hold",), usual.policy_set.hash, ("dba",), 600)


def test_hold_is_not_offered_where_no_permit_would_exist_T19(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = usual.decide(make_principal("others"), make_action(DELETE), make_resource(), context)

    assert isinstance(answer, Deny)
    assert "no policy permits" in answer.reason


def test_hold_is_not_offered_where_another_forbid_is_final_T19(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    never = '@id("never") forbid (principal, action, resource) when { context.facts.writes.contains("ledger") };'
    answer = decider(PERMIT, HOLD, never).decide(
        make_principal("team"), make_action(DELETE, writes=("ledger",)), make_resource(), context
    )

    assert isinstance(answer, Deny)
    assert answer.policies == ("never",)
    assert '"never"' in answer.reason


def test_one_denied_leaf_denies_the_whole_action_P2(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    only_reads = '@id("reads") permit (principal, action in Action::"read", resource);'
    answer = decider(only_reads).decide(make_principal(), make_action(READ, DELETE), make_resource(), context)

    assert isinstance(answer, Deny)
    assert DELETE in answer.reason


def test_groups_of_all_held_leaves_are_asked_and_the_shortest_time_wins(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    second = """
    @id("schema") @approvers("architects, dba") @expires("90s")
    forbid (principal, action in Action::"schema", resource)
    unless { context.approved_by.containsAll(["dba", "architects"]) };
    """
    policies = decider(PERMIT, HOLD, second)
    action = make_action("destroy/postgres.drop_column", "schema/postgres.alter_table")
    answer = policies.decide(make_principal("team"), action, make_resource(), context)

    assert answer == Hold(("hold", "schema"), policies.policy_set.hash, ("architects", "dba"), 90)
    released = policies.decide_approved(
        make_principal("team"), action, make_resource(), context, approved_by=["dba", "architects"]
    )
    assert isinstance(released, Allow)


def test_hold_is_not_offered_where_the_approvals_for_one_leaf_forbid_another_T19(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    spiteful = """
    @id("spiteful") forbid (principal, action in Action::"read", resource)
    when { context.approved_by.contains("dba") };
    """
    answer = decider(PERMIT, HOLD, spiteful).decide(
        make_principal("team"), make_action(DELETE, READ), make_resource(), context
    )

    assert isinstance(answer, Deny)
    assert answer.policies == ("spiteful",)


def test_approval_releases_only_with_the_right_group_T21(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    question = (make_principal("team"), make_action(DELETE), make_resource(), context)

    released = usual.decide_approved(*question, approved_by=["dba"])
    refused = [usual.decide_approved(*question, approved_by=groups) for groups in ([], ["sre"], ["DBA"], ["dba "])]

    assert released == Allow(("hold", "permit"), usual.policy_set.hash, approved_by=("dba",))
    assert [type(answer) for answer in refused] == [Deny] * 4


def test_deny_after_approval_is_final_whatever_was_approved_T19(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    reloaded = decider(PERMIT, HOLD, '@id("freeze") forbid (principal, action in Action::"destroy", resource);')
    answer = reloaded.decide_approved(
        make_principal("team"), make_action(DELETE), make_resource(), context, approved_by=["dba"]
    )

    assert isinstance(answer, Deny)
    assert answer.policies == ("freeze",)


def test_forbid_without_approvers_is_not_lifted_by_an_approval_it_reads_T21(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    unannotated = """
    @id("quiet") forbid (principal, action in Action::"destroy", resource)
    unless { context.approved_by.contains("dba") };
    """
    policies = decider(PERMIT, unannotated)
    question = (make_principal("team"), make_action(DELETE), make_resource(), context)

    assert isinstance(policies.decide(*question), Deny)
    assert isinstance(policies.decide_approved(*question, approved_by=["dba"]), Deny)


def test_approval_that_misses_a_group_the_annotation_names_does_not_release_T19(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    lax = """
    @id("both") @approvers("dba, security") forbid (principal, action in Action::"destroy", resource)
    unless { context.approved_by.contains("dba") || context.approved_by.contains("security") };
    """
    answer = decider(PERMIT, lax).decide_approved(
        make_principal("team"), make_action(DELETE), make_resource(), context, approved_by=["dba"]
    )

    assert isinstance(answer, Deny)
    assert "security" in answer.reason


def test_forbid_whose_condition_errors_is_a_denial_not_a_skip_P2(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    overflowing = """
    @id("overflows") forbid (principal, action, resource)
    when { context.facts.statement_count * 9223372036854775807 > 5 };
    """
    policies = decider('@id("all") permit (principal, action, resource);', overflowing)
    question = (make_principal(), make_action(READ, statement_count=3), make_resource(), context)

    assert code(policies.decide(*question)) == "policy_error"
    assert code(policies.decide_approved(*question, approved_by=["dba"])) == "policy_error"
    held = decider(PERMIT, HOLD, overflowing)
    assert isinstance(
        held.decide(make_principal("team"), make_action(DELETE, statement_count=3), make_resource(), context), Deny
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"bounded": 1},
        {"bounded": "true"},
        {"bounded": None},
        {"writes": ["a"]},
        {"writes": (1,)},
        {"statement_count": 2**63},
    ],
)
def test_fact_of_another_type_than_the_schema_says_is_a_denial_P2(
    facts: dict[str, Any], make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    reads_all = """
    @id("all") permit (principal, action, resource)
    when { context.facts.bounded || context.facts.writes.isEmpty() || context.facts.statement_count < 5 };
    """
    answer = decider(reads_all).decide(make_principal(), make_action(READ, **facts), make_resource(), context)

    assert isinstance(answer, Deny)
    assert code(answer) == "policy_error"


def test_fact_that_is_missing_is_a_denial_even_where_policy_asks_whether_it_is_there_P2(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    action = make_action(READ)
    del action.facts["bounded"]
    asks = (
        '@id("asks") forbid (principal, action, resource) when { context.facts has bounded && !context.facts.bounded };'
    )
    answer = decider('@id("all") permit (principal, action, resource);', asks).decide(
        make_principal(), action, make_resource(), context
    )

    assert code(answer) == "policy_error"


@pytest.mark.parametrize(
    "leaves", [(), ("",), ("read",), ("read/",), ("read/mysql.select",), ("Read/postgres.select",)]
)
def test_action_that_the_schema_cannot_place_is_denied_even_by_permit_all_P2(
    leaves: tuple[str, ...], make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = decider('@id("all") permit (principal, action, resource);').decide(
        make_principal(), make_action(*leaves), make_resource(), context
    )

    assert code(answer) == "policy_error"


def test_unknown_kind_beside_a_known_one_is_decided_by_its_effect_P2(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = usual.decide(make_principal("team"), make_action(READ, "destroy/postgres.shred"), make_resource(), context)

    assert isinstance(answer, Hold)


def test_foreseen_leaf_is_denied_where_it_always_would_be_but_never_held(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider(PERMIT, HOLD, '@id("no-unknown") forbid (principal, action in Action::"unknown", resource);')
    parse = "session/postgres.parse"

    def decide(*later: str) -> Decision:
        action = make_action(parse, foreseen=later)
        return policies.decide(make_principal("team"), action, make_resource(), context)

    assert isinstance(decide(READ), Allow)
    assert isinstance(decide(DELETE), Allow)
    assert isinstance(decide("unknown/postgres.unparsed"), Deny)
    assert isinstance(decide(DELETE, "unknown/postgres.unparsed"), Deny)
    assert isinstance(decide("nonsense"), Deny)


def test_reason_is_asked_for_at_the_action_and_not_at_what_only_prepares_it(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider(
        '@id("why") @require_reason permit (principal, action in Action::"read", resource);',
        '@id("set-up") permit (principal, action in Action::"session", resource);',
    )
    given_reason = msgspec.structs.replace(context, reason="TICKET-7")
    blank = msgspec.structs.replace(context, reason=" \t")

    def decide(action: Action, c: Context, **who: Any) -> Decision:
        return policies.decide(make_principal(**who), action, make_resource(), c)

    refused = decide(make_action(READ), context)
    assert code(refused) == "reason_required"
    assert "SET interlock.reason = '...'" in getattr(refused, "reason", "")
    assert refused.policies == ("why",)
    assert code(decide(make_action(READ), blank)) == "reason_required"
    assert isinstance(decide(make_action(READ), given_reason), Allow)
    assert isinstance(decide(make_action(READ), context, reason="from the token"), Allow)
    assert isinstance(decide(make_action("session/postgres.parse", foreseen=(READ,)), context), Allow)


def test_action_is_not_held_for_people_before_its_reason_is_there(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider(PERMIT, HOLD.replace("@expires", "@require_reason @expires"))
    question = (make_principal("team"), make_action(DELETE), make_resource())

    assert code(policies.decide(*question, context)) == "reason_required"
    held = policies.decide(*question, msgspec.structs.replace(context, reason="cleanup"))
    assert isinstance(held, Hold)
    assert obligations(held).require_reason
    assert code(policies.decide_approved(*question, context, approved_by=["dba"])) == "reason_required"


def test_strictest_obligations_win_and_those_of_a_lifted_forbid_persist(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider(
        '@id("wide") @max_rows("1000") @record("request") permit (principal, action, resource);',
        '@id("narrow") @max_rows("10") @max_bytes("1MiB")'
        ' permit (principal is Agent, action in Action::"read", resource);',
        HOLD.replace("@expires", '@max_rows("5") @record("full") @expires'),
    )
    read = policies.decide(make_principal(), make_action(READ), make_resource(), context)
    released = policies.decide_approved(
        make_principal(), make_action(READ, DELETE), make_resource(), context, approved_by=["dba"]
    )

    assert (obligations(read).max_rows, obligations(read).max_bytes, obligations(read).record) == (
        10,
        1 << 20,
        "request",
    )
    assert (obligations(released).max_rows, obligations(released).max_bytes) == (5, 1 << 20)
    assert obligations(released).record == "full"


def test_connecting_is_asked_without_facts_and_gives_read_only(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider(
        '@id("ro") @read_only permit (principal, action == Action::"session/connect", resource)'
        " when { context.facts.bounded && context.facts.writes.isEmpty() };"
    )
    action = make_action("session/connect")
    action.facts.clear()
    answer = policies.decide(make_principal(), action, make_resource(), context)

    assert obligations(answer).read_only


NASTY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(
    [
        '"',
        '\\"',
        'x" || true || "',
        'Group::"team"',
        "a\x00b",
        "\u202e",
        "*",
        "team\n",
        '"};permit(principal,action,resource);//',
    ]
)


@given(subject=NASTY, groups=st.frozensets(NASTY, max_size=3), label=NASTY, name=NASTY)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_cannot_inject_into_policy_or_entities_T21(
    usual: Decider,
    make_principal: Make,
    make_resource: Make,
    make_action: Make,
    context: Context,
    subject: str,
    groups: frozenset[str],
    label: str,
    name: str,
) -> None:
    principal = make_principal(*(groups - {"team"}), subject=subject, claims={label: subject})
    answer = usual.decide(principal, make_action(READ), make_resource(name, environment=label, owner=name), context)

    assert isinstance(answer, Deny)
    assert code(answer) == "policy_denied"


def test_name_that_is_not_unicode_text_is_denied_and_not_an_exception(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answer = usual.decide(make_principal("team", subject="\ud800"), make_action(READ), make_resource(), context)

    assert code(answer) == "policy_error"


def test_kind_group_environment_labels_and_claims_are_what_policies_see(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider("""
    @id("exact") permit (principal is Agent in Group::"team", action == Action::"read/postgres.select",
                         resource in Environment::"production")
    when {
      principal.subject == "ci" && principal.issuer == "https://idp.example/" && !principal.development &&
      principal.actors.contains("https://idp.example/|bot") && principal.person == "ann" &&
      principal.hasTag("repository") && principal.getTag("repository") == "acme/shop" &&
      resource.owner == "payments" && resource.hasTag("tier") && resource.getTag("tier") == "1" &&
      context.model.vendor == "acme" && context.model.attested && context.source.isInRange(ip("192.0.2.0/24")) &&
      context.database == "shop" && context.tls && context.reason == ""
    };
    """)
    who = {
        "actors": (Actor("bot", "https://idp.example/"),),
        "person": "ann",
        "claims": {"repository": "acme/shop"},
        "model": Model("acme", "reviewer", "2", attested=True),
    }
    labels = {"environment": "production", "owner": "payments", "tier": "1"}

    def decide(p: Principal, r: Resource, c: Context = context) -> Decision:
        return policies.decide(p, make_action(READ), r, c)

    assert isinstance(decide(make_principal("team", **who), make_resource(**labels)), Allow)
    assert isinstance(decide(make_principal("team", **who | {"person": "bob"}), make_resource(**labels)), Deny)
    assert isinstance(decide(make_principal("tea", **who), make_resource(**labels)), Deny)
    human = make_principal("team", kind=PrincipalKind.HUMAN, **who)
    assert isinstance(decide(human, make_resource(**labels)), Deny)
    assert isinstance(decide(make_principal("team", **who), make_resource(**labels | {"environment": "test"})), Deny)
    mapped = msgspec.structs.replace(context, source="::ffff:192.0.2.9")
    assert isinstance(decide(make_principal("team", **who), make_resource(**labels), mapped), Allow)
    for source in ("", "192.0.2.7:5432", "localhost"):
        nowhere = msgspec.structs.replace(context, source=source)
        assert code(decide(make_principal("team", **who), make_resource(**labels), nowhere)) == "policy_error"


def test_token_bound_to_other_resources_is_denied_here_whatever_policy_says_T25(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    everything = decider('@id("all") permit (principal, action, resource);')
    bound = make_principal(resources=frozenset({"billing"}))

    assert isinstance(everything.decide(bound, make_action(READ), make_resource("shop"), context), Deny)
    assert isinstance(everything.decide(bound, make_action(READ), make_resource("billing"), context), Allow)
    assert isinstance(everything.decide(make_principal(), make_action(READ), make_resource("shop"), context), Allow)


def test_deny_after_approval_covers_what_cannot_be_asked_or_placed_P2(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    later = make_action("session/postgres.parse", foreseen=("unknown/postgres.unparsed",))
    never = decider(PERMIT, '@id("never") forbid (principal, action in Action::"unknown", resource);')
    questions = [
        (usual, make_principal("team", subject="\ud800"), make_action(DELETE)),
        (usual, make_principal("team", resources=frozenset()), make_action(DELETE)),
        (usual, make_principal("team"), make_action("nonsense")),
        (never, make_principal("team"), later),
    ]

    for policies, who, action in questions:
        answer = policies.decide_approved(who, action, make_resource(), context, approved_by=["dba"])
        assert isinstance(answer, Deny)


def test_foreseen_leaf_that_no_approval_could_release_is_denied_at_once(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider('@id("set-up") permit (principal, action in Action::"session", resource);', HOLD)
    parse = make_action("session/postgres.parse", foreseen=(DELETE,))

    assert isinstance(policies.decide(make_principal(), parse, make_resource(), context), Deny)


def test_facts_that_no_key_can_be_made_of_are_a_denial_P2(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider('@id("p") permit (principal, action, resource) when { context.facts.writes.isEmpty() };')
    answer = policies.decide(make_principal(), make_action(READ, writes=[]), make_resource(), context)

    assert isinstance(answer, Deny)
    assert code(answer) == "policy_error"


# --- the cache ------------------------------------------------------------------------------------------------------

READS_MUCH = """
@id("permit") permit (principal, action, resource) when { context.database != "secret" };
@id("bounded") forbid (principal, action in Action::"write", resource)
when { !context.facts.bounded || context.facts.writes.contains("ledger") };
@id("hold") @approvers("dba") forbid (principal is Agent, action in Action::"destroy", resource)
when { context.facts.statement_count > 1 } unless { context.approved_by.contains("dba") };
@id("hours") forbid (principal, action in Action::"schema", resource) when { context.hour < 9 || context.weekday > 5 };
@id("totals") forbid (principal, action in Action::"read", resource) when { context.session.rows > 100 };
@id("after") forbid (principal, action in Action::"execute", resource)
when { context.time > datetime("2026-11-23T10:00:00Z") };
@id("why") @require_reason permit (principal, action in Action::"admin", resource);
@id("model") forbid (principal, action in Action::"session", resource) when { context.model.name == "bad" };
@id("from") forbid (principal, action in Action::"session", resource) when { context.source.isLoopback() };
"""


@pytest.fixture(scope="module")
def much() -> PolicySet:
    return PolicySet.from_sources({"much.cedar": READS_MUCH})


LEAVES = [
    READ, DELETE, "write/postgres.update", "schema/postgres.create_table", "execute/postgres.do",
    "admin/postgres.grant", "session/postgres.set",
]  # fmt: skip


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cached_decision_equals_a_fresh_one_T19(
    much: PolicySet, data: st.DataObject, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    long_lived = Decider(much, cache_entries=4)
    for _ in range(4):
        principal = make_principal(
            kind=data.draw(st.sampled_from(PrincipalKind)),
            model=data.draw(st.sampled_from([None, Model("v", "good", "1"), Model("v", "bad", "1")])),
        )
        action = make_action(
            *data.draw(st.lists(st.sampled_from(LEAVES), min_size=1, max_size=3, unique=True)),
            foreseen=tuple(data.draw(st.lists(st.sampled_from(LEAVES), max_size=1))),
            bounded=data.draw(st.booleans()),
            writes=data.draw(st.sampled_from([(), ("ledger",), ("orders",)])),
            statement_count=data.draw(st.integers(1, 2)),
            reads=data.draw(st.sampled_from([(), ("orders",)])),
        )
        now = context.now + timedelta(hours=data.draw(st.integers(-48, 48)))
        circumstances = Context(
            now,
            source=data.draw(st.sampled_from(["127.0.0.1", "192.0.2.7"])),
            reason=data.draw(st.sampled_from([None, "", "why", " "])),
            database=data.draw(st.sampled_from(["shop", "secret"])),
            totals=Totals(rows=data.draw(st.sampled_from([0, 1000]))),
        )
        resource = make_resource(data.draw(st.sampled_from(["shop", "billing"])))
        for _ in range(2):
            cached = long_lived.decide(principal, action, resource, circumstances)
            assert cached == Decider(much).decide(principal, action, resource, circumstances)


def test_statements_that_differ_in_a_fact_that_policy_reads_do_not_share_a_decision_T19(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    policies = decider(
        PERMIT,
        '@id("bounded") forbid (principal, action in Action::"write", resource) unless { context.facts.bounded };',
    )
    who, where = make_principal("team"), make_resource()
    update = "write/postgres.update"

    assert isinstance(policies.decide(who, make_action(update, bounded=True), where, context), Allow)
    assert isinstance(policies.decide(who, make_action(update, bounded=False), where, context), Deny)
    assert isinstance(policies.decide(who, make_action(update, bounded=True), where, context), Allow)


def test_statements_that_differ_only_in_what_no_policy_reads_share_one_decision(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    first = usual.decide(make_principal("team"), make_action(READ, reads=("a",)), make_resource(), context)
    other_context = Context(context.now + timedelta(days=1), source="", reason="x", totals=Totals(rows=9))
    second = usual.decide(make_principal("team"), make_action(READ, reads=("b",)), make_resource(), other_context)

    assert second is first


def test_decision_is_not_shared_between_principals_whose_objects_have_the_same_place_in_memory_T25(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    where, action = make_resource(), make_action(READ)
    for _ in range(50):
        assert isinstance(usual.decide(make_principal("team"), action, where, context), Allow)
        assert isinstance(usual.decide(make_principal("guests"), action, where, context), Deny)


def test_many_policies_are_asked_by_slice_with_the_same_answers(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    many = [
        f'@id("p{i}") permit (principal in Group::"g{i}", action in Action::"read", resource in Environment::"e{i}");'
        for i in range(40)
    ]
    policies = decider(*many, HOLD)

    for group, environment, allowed in (
        ("g3", "e3", True),
        ("g3", "e4", False),
        ("g39", "e39", True),
        ("x", "e1", False),
    ):
        answer = policies.decide(
            make_principal(group), make_action(READ), make_resource(environment=environment), context
        )
        assert isinstance(answer, Allow) is allowed


def test_cache_is_bounded_whatever_is_asked(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    small = Decider(usual.policy_set, cache_entries=8)
    resource = make_resource()
    for i in range(100):
        small.decide(make_principal("team", subject=f"s{i}"), make_action(READ), resource, context)

    assert len(small._decisions._young) + len(small._decisions._old) <= 16


def test_decider_answers_threads_alike(
    usual: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    answers = []

    def ask() -> None:
        for _ in range(20):
            answers.append(usual.decide(make_principal("team"), make_action(DELETE), make_resource(), context))  # noqa: PERF401

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 80
    assert all(answer == answers[0] for answer in answers)
