"""``interlock policy``: check policies, and try them on statements."""

import sys
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from interlock.cli.analyze import (
    DEFAULT_STATEMENT_BYTES,
    Analysed,
    JsonlOption,
    MaxBytesOption,
    PostgresReader,
    Question,
    described,
    read_questions,
    write_line,
)
from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from interlock.cli.output import clock, print_json
from interlock.core.action import Action
from interlock.core.decision import Allow, Decision, Deny, Hold
from interlock.core.errors import InterlockError, PolicyError
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.core.resource import Resource

MAX_POLICY_FILES: Final = 1000

PoliciesOption = Annotated[Path | None, typer.Option("--policies", help="A folder; else the configuration's.")]


class _ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vendor: str
    name: str
    version: str = ""
    attested: bool = False


class _ActorFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: str
    issuer: str = "interlock:test"
    kind: PrincipalKind | None = None


class _PrincipalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``--as`` reads; only ``subject`` is needed."""

    subject: str
    issuer: str = "interlock:test"
    kind: PrincipalKind = PrincipalKind.HUMAN
    groups: list[str] = []
    actors: list[_ActorFile] = []
    model: _ModelFile | None = None
    person: str | None = None
    reason: str | None = None
    resources: list[str] | None = None
    development: bool = False
    claims: dict[str, str] = {}


class BadPrincipal(InterlockError):
    """The file given as ``--as`` isn't a principal."""

    code = "principal"


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("check")(check)
    group.command("test")(try_policies)


def check(
    *, policies: PoliciesOption = None, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Check that the policies parse and fit the schema; exit 1 and say where if they don't.

    Example: interlock policy check --policies ./policies
    """
    from interlock.policy import PolicySet

    folder = policies or read_config(config).gateway.policies
    policy_set = PolicySet.from_sources(read_policies(folder))
    rules = [
        {"id": rule.id, "file": rule.file, "line": rule.line, "effect": "forbid" if rule.forbids else "permit"}
        for rule in policy_set.rules.values()
    ]
    if as_json:
        print_json({"hash": policy_set.hash, "policies": rules})
    else:
        typer.echo(f"{len(rules)} policies in {folder} are in order; set {policy_set.hash[:16]}")


def try_policies(
    *,
    principal: Annotated[Path, typer.Option("--as", help="JSON file with the principal; `subject` is all it needs.")],
    resource: Annotated[str, typer.Option("--resource", help="Name of a resource of the configuration.")],
    jsonl: JsonlOption = False,
    policies: PoliciesOption = None,
    reason: Annotated[str, typer.Option(help="The reason that the client would give.")] = "",
    source: Annotated[str, typer.Option(help="The client's IP address.")] = "127.0.0.1",
    database: Annotated[str, typer.Option(help="The upstream's database.")] = "",
    max_bytes: MaxBytesOption = DEFAULT_STATEMENT_BYTES,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Say what policy would decide about statements: allow, hold (and whom to ask) or deny.

    Example: echo '{"id": 1, "text": "DROP TABLE t"}' | interlock policy test --as bot.json --resource shop --jsonl
    """
    from interlock.policy import Context, Decider, PolicySet

    loaded = read_config(config)
    found = loaded.find_resource(resource)
    if found is None:
        known = ", ".join(item.name for item in loaded.resources) or "none"
        msg = f"the configuration has no resource {resource!r}; known: {known}"
        raise typer.BadParameter(msg, param_hint="--resource")
    now = clock()
    who = read_principal(principal, now)
    decider = Decider(PolicySet.from_sources(read_policies(policies or loaded.gateway.policies)))
    context = Context(now, source, reason or None, database)
    reader = PostgresReader(max_bytes)
    for question in read_questions(sys.stdin.buffer, jsonl=jsonl):
        analysed = reader.read(question)
        decision = _decide(decider, who, question, analysed, found.resource, context)
        write_line(described(question, analysed) | {"leaves": analysed.leaves} | describe_decision(decision))


def describe_decision(decision: Decision) -> dict[str, Any]:
    """A decision as the fields that it adds to an answer."""
    common: dict[str, Any] = {"policies": decision.policies, "approvers": (), "code": "", "reason": ""}
    match decision:
        case Allow():
            return {"decision": "allow"} | common
        case Hold():
            extra = {"approvers": decision.groups, "expires_seconds": decision.expires_seconds}
            return {"decision": "hold"} | common | extra
        case Deny():
            return {"decision": "deny"} | common | {"code": decision.code, "reason": decision.reason}


def read_policies(folder: Path) -> dict[str, str]:
    """The sources of a policy folder: its ``.cedar`` files, subfolders included.

    Raises:
        PolicyError: it can't be read, or has none.
    """
    try:
        files = sorted(path for path in folder.rglob("*.cedar") if path.is_file())
        if not files or len(files) > MAX_POLICY_FILES:
            msg = f"{folder}: has {len(files)} .cedar files; without any, everything is denied: run `interlock init`"
            raise PolicyError(msg)
        return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{folder}: the policies can't be read: {error}"
        raise PolicyError(msg) from error


def read_principal(file: Path, now: datetime) -> Principal:
    """A made-up principal to try policies with; nothing is verified, since nothing runs.

    Raises:
        BadPrincipal: the file can't be read, or isn't one.
    """
    try:
        said = msgspec.json.decode(file.read_bytes(), type=_PrincipalFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f'{file}: isn\'t a principal, as in {{"subject": "bot", "kind": "agent", "groups": ["readers"]}}: {error}'
        raise BadPrincipal(msg) from error
    return Principal(
        subject=said.subject,
        issuer=said.issuer,
        kind=said.kind,
        expires_at=now + timedelta(hours=1),
        token_id="policy-test",  # noqa: S106 - a name
        groups=frozenset(said.groups),
        actors=tuple(Actor(actor.subject, actor.issuer, actor.kind) for actor in said.actors),
        model=None if said.model is None else _model(said.model),
        reason=said.reason,
        person=said.person,
        resources=None if said.resources is None else frozenset(said.resources),
        development=said.development,
        claims=said.claims,
    )


def _model(said: _ModelFile) -> Model:
    return Model(said.vendor, said.name, said.version, attested=said.attested)


def _decide(
    decider: Any, who: Principal, question: Question, analysed: Analysed, resource: Resource, context: Any
) -> Decision:
    payload = question.text.encode("utf-8", "surrogatepass")
    action = Action(
        id=f"policy-test.{question.id}",
        kind=analysed.kind,
        leaves=analysed.leaves,
        facts=analysed.facts,
        text=question.text,
        payload=payload,
        digest=sha256(payload).hexdigest(),
    )
    decision: Decision = decider.decide(who, action, resource, context)
    return decision
