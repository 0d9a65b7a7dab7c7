"""`python -m bench`: measure and print the table. `python -m bench profile`: where the gateway's time goes."""

import sys

from bench.profiling import profile
from bench.results import machine
from bench.rounds import run
from bench.settings import from_environment


def main() -> None:
    """Run what the command line asks for."""
    settings = from_environment()
    if sys.argv[1:] == ["profile"]:
        profile(settings)
        return
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    results = run(settings)
    path = results.write()
    host = machine()
    tls = "TLS" if settings.tls else "no TLS"
    print(f"{host['processor']}, {host['cores']} cores, Python {host['python']}")
    print(f"{settings.rounds} interleaved rounds of {settings.seconds} s; {tls} on the client's leg of all three.")
    print(
        f"PgBouncer: 1 process, session mode. Interlock: {settings.workers} worker(s), recorder and supervisor counted."
    )
    print(results.table())
    print(f"\n{path}")


if __name__ == "__main__":
    main()
