"""The founding story, step by step: each one says what it shows, shows it, and checks that it is true."""

import signal
import sys
import textwrap
from pathlib import Path

from interlock.demo.shop import DATABASE, Shop
from interlock.demo.stage import RESOURCE, Stage, StageError

_MIGRATION = "ALTER TABLE customers DROP COLUMN loyalty_code"
_HAS_COLUMN = (
    "SELECT count(*) FROM information_schema.columns WHERE table_name = 'customers' AND column_name = 'loyalty_code'"
)


class Narrator:
    """Speaks to the person who watches, and keeps count of what didn't hold."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def chapter(self, title: str, text: str) -> None:
        """Begin a step."""
        print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}")
        print(textwrap.fill(" ".join(text.split()), 100))

    def shows(self, command: str, output: str) -> None:
        """Show what somebody typed and what they got."""
        print(f"\n  $ {command}")
        print(textwrap.indent(output, "    ") if output else "    (no output)")

    def checks(self, what: str, holds: bool) -> None:  # noqa: FBT001 - the sentence and its truth
        """State a fact that was just checked."""
        print(f"  {'ok ' if holds else 'NOT TRUE'}  {what}")
        if not holds:
            self.failed.append(what)


def play(*, once: bool) -> int:
    """Play the story; with ``once`` end after it, 0 only if every step did what it says."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tell = Narrator()
    print("Interlock's demo: an AI code reviewer, a database, and a person who is asked. All on this machine, in")
    print("temporary folders. Starting PostgreSQL and the gateway ...", flush=True)
    try:
        with Shop() as shop, Stage(shop) as stage:
            _tell(tell, shop, stage)
            if tell.failed:
                print(f"\n{len(tell.failed)} step(s) did not do what the story says.")
                return 1
            print("\nEvery step did what it says.")
            if not once:
                _stay(stage)
            return 0
    except StageError as error:
        print(f"\nThe demo can't go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _tell(tell: Narrator, shop: Shop, stage: Stage) -> None:
    config = ("--config", str(stage.config))
    reviewer = stage.token(
        "code-reviewer", "--kind", "agent", "--model", "acme/reviewer/2026-11", "--person", "alice", "--actor",
        "ci-job-4711", "--group", "readers", "--group", "writers", "--resource", RESOURCE, "--seconds", "900",
        "--reason", "pull request 42: remove the old loyalty programme",
    )  # fmt: skip
    bob = stage.token("bob", "--kind", "human", "--group", "dba", "--seconds", "900")
    alice = stage.token("alice", "--kind", "human", "--group", "dba", "--person", "alice", "--seconds", "900")

    tell.chapter(
        "1. A short-lived identity",
        """In a CI job, an AI code reviewer gets a token for 15 minutes. It names the reviewer, the job that runs it,
        the person behind it (alice), the model and its version. It is bound to one resource. The database's own
        password stays in the gateway.""",
    )

    tell.chapter("2. It reads", "Reading is permitted. The client is a stock one; only host, user and token changed.")
    text = "SELECT status, count(*) FROM orders GROUP BY status ORDER BY status"
    client = stage.client(reviewer, text)
    output = client.wait()
    tell.shows(f"{client.name}: {text}", output)
    tell.checks("the reviewer got its answer", client.code == 0 and "shipped" in output)

    _migrate(tell, shop, stage, reviewer, alice, bob)
    _delete(tell, shop, stage, reviewer, bob)

    tell.chapter(
        "5. It tries to become somebody else",
        "Switching roles isn't something that a person can approve for an agent: the policy says never.",
    )
    client = stage.client(reviewer, "SET ROLE postgres", "SELECT current_user")
    output = client.wait()
    tell.shows(f"{client.name}: SET ROLE postgres; then SELECT current_user", output)
    tell.checks("denied, and the session is still the gateway's own role", "shop_app" in output)

    tell.chapter("6. The log", "Who, which model, what, when, why, approved by whom: recorded before it happened.")
    tell.shows("interlock log tail", stage.interlock("log", "tail", *config, "--lines", "14"))
    entries = stage.entries()
    ran = [entry for entry in entries if entry.get("type") == "intent" and entry.get("approval")]
    tell.checks("one statement ran by approval: the migration", len(ran) == 1)
    entry = ran[0] if ran else {}
    tell.checks("its entry names the approver", any("bob" in person for person in entry.get("approvers", [])))
    model = entry.get("who", {}).get("model", {})
    tell.checks("it names the model and version", (model.get("name"), model.get("version")) == ("reviewer", "2026-11"))
    tell.checks("it names the reason", "pull request 42" in entry.get("reason", ""))
    refused = [entry for entry in entries if entry.get("type") == "decision" and entry.get("decision") == "deny"]
    tell.checks("the refusals are on record too", len(refused) >= 2)


def _migrate(tell: Narrator, shop: Shop, stage: Stage, reviewer: Path, alice: Path, bob: Path) -> None:
    config = ("--config", str(stage.config))
    tell.chapter(
        "3. It deploys a migration that drops a column",
        """Dropping a column can't be undone, so the statement is held. The client just waits; a person sees exactly
        what would run. Alice, for whom the reviewer acts, can't approve her own agent's work. Bob can.""",
    )
    client = stage.client(reviewer, _MIGRATION)
    approval = stage.held()
    tell.shows("interlock approvals list", stage.interlock("approvals", "list", *config))
    tell.shows(f"interlock approvals show {approval}", stage.interlock("approvals", "show", approval, *config))
    tell.checks("nothing has happened yet: the column is there", shop.value(_HAS_COLUMN) == 1)
    refused = stage.interlock("approvals", "approve", approval, "--token-file", str(alice), *config, good=(1,))
    tell.shows(f"interlock approvals approve {approval}     # as alice", refused)
    tell.checks("alice's approval did not count", shop.value(_HAS_COLUMN) == 1)
    approved = stage.interlock("approvals", "approve", approval, "--token-file", str(bob), *config)
    tell.shows(f"interlock approvals approve {approval}     # as bob", approved)
    output = client.wait()
    tell.shows(f"{client.name}: {_MIGRATION}", output)
    tell.checks("the migration ran once bob had approved it", client.code == 0 and shop.value(_HAS_COLUMN) == 0)


def _delete(tell: Narrator, shop: Shop, stage: Stage, reviewer: Path, bob: Path) -> None:
    config = ("--config", str(stage.config))
    tell.chapter(
        "4. It deletes without a bound",
        """Held again; this time bob refuses. The client gets an ordinary PostgreSQL error, and its connection goes on:
        the next statement on the same connection works.""",
    )
    before = shop.value("SELECT count(*) FROM orders")
    client = stage.client(reviewer, "DELETE FROM orders", "SELECT count(*) AS still_here FROM orders")
    approval = stage.held()
    refused = stage.interlock(
        "approvals", "deny", approval, "--comment", "not without a WHERE", "--token-file", str(bob), *config
    )
    tell.shows(f"interlock approvals deny {approval} --comment 'not without a WHERE'", refused)
    output = client.wait()
    tell.shows(f"{client.name}: DELETE FROM orders; then SELECT count(*)", output)
    tell.checks("every order is still there", shop.value("SELECT count(*) FROM orders") == before)
    tell.checks("the connection went on after the denial", f"{before}" in output)


def _stay(stage: Stage) -> None:
    """Leave everything running and say how to look around."""
    folder = stage.folder
    text = f"""
Look around; everything keeps running until you press Ctrl-C.

  As the reviewer:
    PGPASSWORD=$(cat {folder}/token-code-reviewer) psql "host=127.0.0.1 port={stage.port} user={RESOURCE} \\
      dbname={DATABASE} sslmode=verify-full sslrootcert={folder}/tls/ca.pem"

  As an operator or approver (the tokens end after 15 minutes):
    export INTERLOCK_CONFIG={stage.config}
    interlock sessions list
    interlock approvals list
    interlock approvals approve ID --token-file {folder}/token-bob
    interlock log tail --follow

  The policies that decided: {folder}/policies
"""
    print(text, flush=True)
    signal.pause()
