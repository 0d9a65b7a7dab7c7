"""``interlock policy test --jsonl``: statements in, decisions out, one a line and in order. The pure part."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlock.core.action import NO_FACTS, Action, Facts
from interlock.core.decision import Decision, Deny, Hold
from interlock.core.errors import ConfigError
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.policy.context import Context
from interlock.policy.decider import Decider


@dataclass(frozen=True, slots=True)
class Analysed:
    """What the analyser of a language says of one text."""

    kind: str
    leaves: tuple[str, ...]
    facts: Facts
    error: Mapping[str, object] | None = None


class _Line(msgspec.Struct):
    id: Any
    text: str


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    vendor: str
    name: str
    version: str = ""
    attested: bool = False


class _Actor(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    issuer: str
    kind: PrincipalKind | None = None


class _Principal(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    kind: PrincipalKind
    issuer: str = "policy-test"
    groups: frozenset[str] = frozenset()
    actors: tuple[_Actor, ...] = ()
    model: _Model | None = None
    reason: str | None = None
    person: str | None = None
    resources: frozenset[str] | None = None
    development: bool = False
    claims: dict[str, str] = msgspec.field(default_factory=dict[str, str])


def decode_principal(data: bytes | str, *, file: str) -> Principal:
    """The principal that ``--as`` describes: ``subject`` and ``kind``, and what else a token could say.

    Trust: made up by whoever tests policies; it is nobody's identity.

    Raises:
        ConfigError: not JSON of that form.
    """
    try:
        p = msgspec.json.decode(data, type=_Principal)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigError(file, "", f'not a principal, as in {{"subject": "ci", "kind": "agent"}}: {error}') from error
    return Principal(
        subject=p.subject,
        issuer=p.issuer,
        kind=p.kind,
        expires_at=datetime.max.replace(tzinfo=UTC),
        token_id="policy-test",  # noqa: S106 a name, not a secret
        groups=p.groups,
        actors=tuple(Actor(a.subject, a.issuer, a.kind) for a in p.actors),
        model=None if p.model is None else Model(p.model.vendor, p.model.name, p.model.version, p.model.attested),
        reason=p.reason,
        person=p.person,
        resources=p.resources,
        development=p.development,
        claims=p.claims,
    )


def policy_test_lines(
    lines: Iterable[bytes | str],
    *,
    analyse: Callable[[str], Analysed],
    decider: Decider,
    principal: Principal,
    resource: Resource,
    context: Context,
) -> Iterator[str]:
    """What ``interlock analyze`` says of each line, with decision, policies, approvers, code and reason added.

    A line that isn't ``{"id", "text"}`` is answered in its place, with an error and a denial; blank lines are skipped.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name: object = None
        try:
            given = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeError) as error:
            wrong = {"code": "line", "message": f'line {number} isn\'t {{"id", "text"}}: {error}'}
            analysed = Analysed("", (), NO_FACTS, wrong)
            decision: Decision = Deny("line", wrong["message"])
        else:
            name = given.id
            analysed = analyse(given.text)
            decision = decider.decide(principal, _action(number, given.text, analysed), resource, context)
        yield _encode(name, analysed, decision)


def _action(number: int, text: str, analysed: Analysed) -> Action:
    return Action(f"test.{number}", analysed.kind, analysed.leaves, analysed.facts, text, text.encode(), "")


def _encode(name: object, analysed: Analysed, decision: Decision) -> str:
    effects = Action("", "", analysed.leaves, NO_FACTS, "", b"", "").effects
    code, reason = (decision.code, decision.reason) if isinstance(decision, Deny) else ("", "")
    word = "deny" if isinstance(decision, Deny) else "hold" if isinstance(decision, Hold) else "allow"
    obligations = None if isinstance(decision, Deny) else decision.obligations
    fields = {
        "id": name,
        "effects": [effect.value for effect in effects],
        "kind": analysed.kind,
        "facts": dict(analysed.facts),
        "error": analysed.error,
        "decision": word,
        "policies": decision.policies,
        "approvers": decision.groups if isinstance(decision, Hold) else (),
        "code": code,
        "reason": reason,
        "obligations": obligations,
    }
    return msgspec.json.encode(fields).decode()
