from collections.abc import Callable
from typing import Any

from interlock.policy import PolicySet, replies

Make = Callable[..., Any]


def test_denial_names_leaf_resource_policies_and_the_next_step(make_resource: Make) -> None:
    policies = PolicySet.from_sources(
        {
            "a.cedar": '@id("no-drop") @advice("File a ticket.") forbid (principal, action, resource);'
            '@id("no-more") forbid (principal, action, resource);'
        }
    )
    one = replies.forbidden("destroy/postgres.drop_table", make_resource(), [policies.rules["no-more"]], "h")
    two = replies.forbidden("destroy/postgres.drop_table", make_resource(), list(policies.rules.values()), "h")

    assert one.reason.startswith('policy "no-more" forbids destroy/postgres.drop_table on "shop". If you need it')
    assert two.reason == 'policies "no-drop" and "no-more" forbid destroy/postgres.drop_table on "shop". File a ticket.'
    assert two.policies == ("no-drop", "no-more")


def test_denial_of_what_cannot_be_placed_shows_it_escaped_and_short() -> None:
    answer = replies.unknown_action("\x1b[2J" + "x" * 500, "h")

    assert answer.reason.isprintable()
    assert len(answer.reason) < 300
