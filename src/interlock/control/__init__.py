"""RUN: what operators and approvers ask of a running gateway, over a local socket.

    CLI -> client -> unix socket (0600, same user or root) -> messages -> Operations -> reply lines

One request a line, one or many replies. Whoever reaches the socket may look and operate; an approval needs the
approver's own token besides, verified here as on any connection, so the socket makes nobody an approver. Every
change is recorded before it takes effect, with the local user who asked for it; what can't be recorded doesn't happen.
"""

from interlock.control.client import ControlClient, ControlError, GatewayUnreachable
from interlock.control.handles import HandleIssuer
from interlock.control.interfaces import (
    Admin,
    Changes,
    Handles,
    Holds,
    LogReader,
    PersonAuthenticator,
    Revocations,
    SessionsView,
)
from interlock.control.operations import Operations
from interlock.control.recording import RecordedChanges
from interlock.control.server import ControlServer
from interlock.control.tailing import LogTail

__all__ = [
    "Admin",
    "Changes",
    "ControlClient",
    "ControlError",
    "ControlServer",
    "GatewayUnreachable",
    "HandleIssuer",
    "Handles",
    "Holds",
    "LogReader",
    "LogTail",
    "Operations",
    "PersonAuthenticator",
    "RecordedChanges",
    "Revocations",
    "SessionsView",
]
