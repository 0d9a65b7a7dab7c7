"""Policy sources -> an immutable, checked, hashed set of policies."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import cedarpy
from cedarpy import pst

from interlock.core.errors import PolicyError
from interlock.policy.annotations import AnnotationError, Duties, decode_duties, decode_id
from interlock.policy.mentions import Mentions, find_groups_tested, find_mentions
from interlock.policy.schema import shipped_schema, shipped_schema_text
from interlock.policy.source import PolicyText, split_policies

MAX_SOURCE_CHARACTERS: Final = 4 * 1024 * 1024
MAX_POLICIES: Final = 10_000
_MAX_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy: its name, where it stands, what it asks for and what it reads."""

    id: str
    file: str
    line: int
    forbids: bool
    duties: Duties
    mentions: Mentions
    template: pst.Template


class PolicySet:
    """All policies of one folder. Immutable; ``hash`` names it in every decision and entry."""

    __slots__ = ("cedar", "hash", "rules")

    def __init__(self, rules: Mapping[str, Rule], policy_hash: str) -> None:
        self.rules: Final = rules
        self.hash: Final = policy_hash
        self.cedar: Final = assemble(rules.values())

    @classmethod
    def from_sources(cls, sources: Mapping[str, str]) -> "PolicySet":
        """Parse, check and hash ``{file name: text}``.

        Trust: the text is the operators', who may err; what doesn't check is refused whole.

        Raises:
            PolicyError: names file, line and reason of each problem, and what to do.
        """
        if sum(map(len, sources.values())) > MAX_SOURCE_CHARACTERS:
            msg = f"policies are over the limit of {MAX_SOURCE_CHARACTERS} characters in all; split or shorten them"
            raise PolicyError(msg)
        problems: list[str] = []
        rules: dict[str, Rule] = {}
        for file in sorted(sources):
            for piece in split_policies(sources[file]):
                try:
                    rule = _decode_rule(file, piece)
                except ValueError as error:
                    problems.append(f"{file}:{piece.line}: {error}")
                    continue
                if rule.id in rules:
                    first = rules[rule.id]
                    problems.append(
                        f'{file}:{piece.line}: policy "{rule.id}": the @id is taken by {first.file}:{first.line};'
                        " give each policy a name of its own"
                    )
                rules[rule.id] = rule
                if len(rules) > MAX_POLICIES:
                    problems.append(f"{file}:{piece.line}: over the limit of {MAX_POLICIES} policies")
                    break
        if problems:
            more = len(problems) - _MAX_PROBLEMS
            shown = problems[:_MAX_PROBLEMS] + ([f"and {more} more problems"] if more > 0 else [])
            raise PolicyError("\n".join(shown))
        return cls(MappingProxyType(rules), _hash(sources))


def assemble(rules: Iterable[Rule]) -> cedarpy.PolicySet:
    """The engine's form of these rules, each under its own ``@id``, so that diagnostics name it."""
    static = pst.FrozenMap({rule.id: rule.template for rule in rules})
    return cedarpy.PolicySet.from_pst(pst.PolicySet(pst.FrozenMap(), static, ()))


def _decode_rule(file: str, piece: PolicyText) -> Rule:
    """One policy, wholly checked; raises ValueError with a text that names it and says what to do."""
    try:
        parsed = cedarpy.PolicySet.from_str(piece.text).to_pst()
    except ValueError as error:
        msg = f"the policy that starts here doesn't parse: {error}"
        raise ValueError(msg) from error
    if parsed.templates or len(parsed.static_policies) != 1:
        msg = "templates with ?principal or ?resource aren't supported; write the policy with its group or resource"
        raise ValueError(msg)
    template = next(iter(parsed.static_policies.values()))
    name = decode_id(template.annotations)
    try:
        duties = decode_duties(template.effect, template.annotations)
        _verify_groups_tested(template, duties)
    except AnnotationError as error:
        msg = f'policy "{name}": {error}'
        raise ValueError(msg) from error
    result = cedarpy.validate_policies(piece.text, shipped_schema())
    if not result.validation_passed:
        told = {e.error.replace("for policy `policy0`, ", "") for e in result.errors} or {"unknown"}
        reasons = sorted(told, key=lambda reason: (reason.startswith("unable to find an applicable action"), reason))
        more = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
        msg = f'policy "{name}" doesn\'t fit the schema: {reasons[0]}{more}; names are those of the shipped schema'
        raise ValueError(msg)
    return Rule(
        id=name,
        file=file,
        line=piece.line,
        forbids=template.effect == "forbid",
        duties=duties,
        mentions=find_mentions(template),
        template=replace(template, id=name),
    )


def _verify_groups_tested(template: pst.Template, duties: Duties) -> None:
    missing = set(duties.approvers) - find_groups_tested(template)
    if missing:
        group = min(missing)
        msg = (
            f'@approvers names "{group}", but no condition tests it, so approval could never lift this forbid; '
            f'add: unless {{ context.approved_by.contains("{group}") }}'
        )
        raise AnnotationError(msg)


def _hash(sources: Mapping[str, str]) -> str:
    """SHA-256 over names and texts, each with its length before it, and the schema."""
    digest = hashlib.sha256(b"interlock policy set v1\n")
    for name, text in [*sorted(sources.items()), ("", shipped_schema_text())]:
        for part in (name, text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
