"""WHO: credential -> ``Principal``.

A credential is verified on every connection, by one reader: a JSON Web Token of a configured issuer, or an opaque
handle that the gateway gave out. Only this room makes a ``Principal``. Whatever isn't understood, or is said twice, or
points somewhere else for a key, is refused; the client learns only that authentication failed.
"""

from interlock.identity.authenticator import Authenticator, RevocationStore, TokenVerifier
from interlock.identity.development import DevelopmentGrant, DevelopmentVerifier, issue_development_token
from interlock.identity.handles import HandleStore, issue_handle
from interlock.identity.issuer import IssuerVerifier
from interlock.identity.jwks import JwksSource, KeySource
from interlock.identity.keys import KeySet

__all__ = [
    "Authenticator",
    "DevelopmentGrant",
    "DevelopmentVerifier",
    "HandleStore",
    "IssuerVerifier",
    "JwksSource",
    "KeySet",
    "KeySource",
    "RevocationStore",
    "TokenVerifier",
    "issue_development_token",
    "issue_handle",
]
