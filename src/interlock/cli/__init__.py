"""The ``interlock`` command: what people type.

    argv -> a typer command -> config, control socket or pure rooms -> text or JSON; errors -> message and exit code

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 configuration, 4 unreachable (``docs/cli.md``). Messages say what
happened, why, and what to do next. Heavy rooms are imported inside the command that needs them, so ``--help`` is quick.
"""

from interlock.cli.entry import main

__all__ = ["main"]
