"""Fuzz the upstream login and the client's prelude: steps, never exceptions, and no way around TLS or the signature.

python tests/fuzz/fuzz_postgres_login.py -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["interlock.wire", "interlock.protocols.postgres.login"]):
    from interlock.core.secret import Secret
    from interlock.protocols.postgres.login import LoggedIn, LoginMachine, LoginPolicy, Send
    from interlock.protocols.postgres.prelude import Continue, Prelude, Startup, WrapTls

NONCE = "n" * 24


def log_in(data: bytes) -> None:
    """Let the bytes be an upstream of which channel binding is required, so no session can come of them."""
    login = LoginMachine(
        user="app",
        password=Secret("pencil"),
        database="shop",
        nonce=NONCE,
        policy=LoginPolicy(tls=True, allow_cleartext=True, require_binding=True),
        channel_binding=b"binding",
        derive=lambda password, salt, iterations: (password + salt)[:iterations],
    )
    login.start()
    for at in range(0, len(data), 23):
        step = login.feed(data[at : at + 23])
        if isinstance(step, LoggedIn):
            msg = "an upstream without the password was believed"
            raise AssertionError(msg)  # noqa: TRY004 - a finding, not a wrong argument
        if not isinstance(step, Send):
            return
        if b"pencil" in step.data:
            msg = "the password was sent"
            raise AssertionError(msg)


def negotiate(data: bytes) -> None:
    """Let the bytes be a client where TLS is required."""
    if not data:
        return
    prelude = Prelude(tls_offered=True, plaintext_allowed=False)
    step = prelude.first_byte(data[0])
    at = 0
    while isinstance(step, Continue | WrapTls):
        if isinstance(step, WrapTls):
            step = prelude.secured("postgresql")
            continue
        piece = data[at : at + prelude.wants]
        if len(piece) < prelude.wants:
            return
        at += prelude.wants
        step = prelude.feed(piece)
    if isinstance(step, Startup) and not step.tls:
        msg = "a plaintext session was started"
        raise AssertionError(msg)


def test_one_input(data: bytes) -> None:
    """Use one input on both sides."""
    log_in(data)
    negotiate(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
