"""The list of protocols: what each brings to a worker. A new protocol is one function here and one line in the list."""

import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.catalogue import Catalogue
from interlock.app.house import House
from interlock.app.rules import Rules
from interlock.config.model import LimitsConfig
from interlock.core.commands import Mediator
from interlock.core.session import Session
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.mediator import PostgresMediator
from interlock.transport.cancel import CancelKeys
from interlock.transport.listener import Door
from interlock.transport.offload import AnalysisPool
from interlock.transport.postgres.door import PostgresDoor
from interlock.transport.postgres.side import PostgresCatalogues, Rows
from interlock.transport.postgres.upstream import PostgresDialler
from interlock.transport.services import Catalogues, Dialler, Offload


@dataclass(frozen=True, slots=True)
class Speaker:
    """One protocol in one worker."""

    door: Door
    make_mediator: Callable[[], Mediator]
    dialler: Dialler
    catalogues: Catalogues
    offload: Offload
    watch: Callable[[], Any]
    """A coroutine function that runs as long as the worker."""
    switch: Callable[[Rules], None]
    """Use another generation's resources."""
    close: Callable[[], None]


def make_postgres(house: House, rules: Callable[[], Rules], keys: CancelKeys) -> Speaker:
    """PostgreSQL, protocol 3.0 and 3.2."""
    limits = house.config.limits
    analyser = Analyser()
    dialler = PostgresDialler(_by_name(rules()), random_bytes=secrets.token_bytes)

    async def record(session: Session, what: str) -> None:
        detail: dict[str, str | int] = {
            "session": session.id,
            "resource": session.resource.name,
            "database": session.database,
            "upstream_user": session.upstream_user,
        }
        sealed = house.journal.admin(what, person=session.principal.id, detail=detail)
        await house.recorder.record_durable(*sealed)

    def read(rows: Mapping[str, Rows]) -> Catalogue:
        return Catalogue.from_rows(rows, analyse_body=analyser.read_body)

    catalogues = PostgresCatalogues(dialler, record=record, read=read)
    pool = AnalysisPool(
        lambda text: analyser.analyse_uncached(text)[0],
        concurrency=limits.parse_concurrency,
        budget_bytes=limits.parse_bytes,
    )
    mediator_limits = _postgres_limits(limits)

    def tls() -> ssl.SSLContext | None:
        return rules().contexts.get("postgres")

    def close() -> None:
        catalogues.close()
        pool.close()

    return Speaker(
        door=PostgresDoor(tls=tls, plaintext_allowed=tls() is None, cancels=keys),
        make_mediator=lambda: PostgresMediator(analyser=analyser, limits=mediator_limits),
        dialler=dialler,
        catalogues=catalogues,
        offload=pool,
        watch=catalogues.watch,
        switch=lambda switched: dialler.replace(_by_name(switched)),
        close=close,
    )


PROTOCOLS: Final[Mapping[str, Callable[[House, Callable[[], Rules], CancelKeys], Speaker]]] = {
    "postgres": make_postgres,
}


def _by_name(rules: Rules) -> dict[str, Any]:
    return {resource.name: resource for resource in rules.config.resources}


def _postgres_limits(limits: LimitsConfig) -> Limits:
    return Limits(
        statement_bytes=limits.statement_bytes,
        inline_bytes=limits.inline_parse_bytes,
        message_bytes=limits.message_bytes,
        names=limits.statements,
        notice_seconds=limits.notice_seconds,
    )
