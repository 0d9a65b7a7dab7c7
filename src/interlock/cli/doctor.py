"""``interlock doctor``: is everything in order, and if not, how to mend it."""

import sys

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from interlock.cli.output import print_json

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("doctor")(doctor)


def doctor(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check configuration, keys, certificates, policies, upstreams, storage, disk and ports; exit 1 if one fails.

    Example: interlock doctor --json | jq '.[] | select(.status == "fail")'
    """
    from interlock.cli.checks import Finding, examine

    findings: list[Finding] = []
    progress = not as_json and sys.stderr.isatty()
    for finding in examine(config):
        findings.append(finding)
        if not as_json:
            typer.echo(f"{_SIGNS[finding.status]}  {finding.subject}: {finding.message}")
            if finding.mend:
                typer.echo(f"      mend: {finding.mend}")
        if progress and finding.next_step:
            typer.echo(f"      ... {finding.next_step}", err=True)
    failed = sum(finding.status == "fail" for finding in findings)
    if as_json:
        rows = [{"subject": f.subject, "status": f.status, "message": f.message, "mend": f.mend} for f in findings]
        print_json(rows)
    else:
        typer.echo(f"\n{failed} of {len(findings)} checks failed" if failed else f"\nall {len(findings)} checks passed")
    if findings[0].status == "fail":
        raise typer.Exit(3)
    if failed:
        raise typer.Exit(1)
