"""One authenticated conversation with one resource."""

from dataclasses import dataclass
from datetime import datetime

from interlock.core.principal import Principal
from interlock.core.resource import Resource


@dataclass(frozen=True, slots=True)
class Session:
    """Who talks to what, until when; made by ``gate.open_session`` after the start entry is recorded."""

    id: str
    principal: Principal
    resource: Resource
    database: str
    client_address: str
    started_at: datetime
    expires_at: datetime
    """The end granted at opening (P4)."""
    reason: str | None = None
    read_only: bool = False
    upstream_user: str = ""
