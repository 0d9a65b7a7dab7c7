"""Debian's psql, unchanged, through the gateway: what people see who type statements."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.control.messages import ShowApproval, TailLog
from tests.integration.site import Psql, Site, run_psql

pytestmark = pytest.mark.integration

CATALOGUE = r"""
\d
\d+
\d orders
\d+ order_totals
\dt
\dt+ public.*
\dv+
\ds
\di+
\l
\l+
\dn+
\du
\df
\df+ price_with_tax
\sf close_order
\sv order_totals
\dp
\dT
\dD
\dx
\dF
\dC+ int4
\do = integer
\da count
\db
\dconfig work_mem
\dg+
\dL+
\dy
\dRp
\dRs
\des
\ddp
\dO
\dl
\dA
\dX
\dP
\drds
\encoding
\d nowhere
SELECT count(*), min(placed_at) FROM orders;
TABLE order_totals LIMIT 3;
\gdesc
SELECT 1 AS one, 'two' AS two \gdesc
SELECT * FROM customers ORDER BY id LIMIT 2 \gx
\copy (SELECT id, name FROM products ORDER BY id LIMIT 3) TO STDOUT CSV HEADER
SHOW server_version;
BEGIN; SELECT 1; SELECT 2; COMMIT;
"""


def test_reader_looks_round_with_psql_and_sees_what_psql_shows_without_the_gateway(
    starter: Site, database: str
) -> None:
    through = run_psql(starter.through(database), CATALOGUE, "-e")
    direct = run_psql(starter.direct(database), CATALOGUE, "-e")
    assert through.out == direct.out
    assert through.err == direct.err
    assert "order_totals" in through.out
    assert through.status == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"password": "not-a-token"}, 'did not accept the token for resource "shop"'),
        ({"user": "nowhere"}, 'there is no resource "nowhere"'),
        ({"user": "nowhere", "password": "not-a-token"}, 'did not accept the token for resource "nowhere"'),
        ({"sslmode": "disable"}, "accepts only TLS connections"),
    ],
    ids=["a wrong token", "an unknown resource", "both", "no TLS"],
)
def test_psql_is_turned_away_with(starter: Site, more: dict[str, str], says: str) -> None:
    done = run_psql(starter.through("shop", **more), "SELECT 1")
    assert done.status == 2
    assert says in done.err
    assert done.out == ""


def test_psql_is_turned_away_with_an_expired_token(starter: Site) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - the gateway compares with its own clock
    done = run_psql(starter.through("shop", starter.token(at=yesterday)), "SELECT 1")
    assert (done.status, done.out) == (2, "")
    assert "did not accept the token" in done.err


def test_psql_doesnt_go_on_with_a_gateway_that_another_authority_vouches_for(starter: Site) -> None:
    done = run_psql(starter.through("shop", sslrootcert=str(starter.postgres.ca)), "SELECT 1")
    assert done.status == 2
    assert "certificate verify failed" in done.err


def test_somebody_in_no_group_isnt_let_in(starter: Site) -> None:
    done = run_psql(starter.through("shop", starter.token(groups=())), "SELECT 1")
    assert (done.status, done.out) == (2, "")
    assert "FATAL" in done.err


def test_reader_may_not_write_and_goes_on_reading(starter: Site, database: str) -> None:
    script = """
UPDATE orders SET note = 'x' WHERE id = 1;
\\echo :SQLSTATE
INSERT INTO orders (customer_id) VALUES (1);
SELECT count(*) FROM orders;
"""
    done = run_psql(starter.through(database), script, "-At")
    assert done.out == "42501\n500\n"
    assert done.err.count("ERROR:") == 2
    assert "Interlock decision: policy_denied" in done.err


def test_agent_deletes_without_a_bound_and_the_approver_says_yes_at_the_command_line(
    starter: Site, database: str, tmp_path: Path
) -> None:
    agent = starter.token("reviewer", kind="agent", groups=["readers", "writers"], person="alice@example.com")
    dba = tmp_path / "dba.token"
    dba.touch(mode=0o600)
    dba.write_text(starter.token("dora", groups=["dba"]))
    with Psql(starter.through(database, agent), "-At") as psql:
        psql.send("DELETE FROM order_lines;")
        approval = psql.approval()
        assert "until dba approves it" in psql.errors
        shown = starter.gateway.run("approvals", "show", approval)
        assert "DELETE FROM order_lines" in shown
        assert "interlock:development|reviewer" in shown
        said = starter.gateway.run("approvals", "approve", approval, "--token-file", str(dba), "-m", "ticket 42")
        assert "approved" in said
        psql.send("SELECT count(*) FROM order_lines;")
        done = psql.finish()
    assert (done.status, done.out) == (0, "DELETE 1500\n0\n")
    log = starter.session_log(database)
    intent = next(e for e in log if e["type"] == "intent" and e.get("approval") == approval)
    assert intent["decision"] == "allow"
    assert intent["approvers"] == ["dora"]
    assert next(e for e in log if e["type"] == "outcome" and e["action"] == intent["action"])["tag"] == "DELETE 1500"


def test_agent_is_denied_at_the_command_line_and_its_connection_goes_on(starter: Site, database: str) -> None:
    agent = starter.token("reviewer", kind="agent", groups=["readers", "writers"])
    dba = starter.token("dora", groups=["dba"])
    with Psql(starter.through(database, agent), "-At") as psql:
        psql.send("DROP TABLE order_lines;")
        starter.decide(psql.approval(), "deny", dba, "not today")
        psql.send("\\echo :SQLSTATE\nSELECT count(*) FROM order_lines;")
        done = psql.finish()
    assert done.out == "42501\n1500\n"
    assert "hold_denied" in done.err


def test_ctrl_c_withdraws_what_waits_for_approval(starter: Site, database: str) -> None:
    agent = starter.token("reviewer", kind="agent", groups=["readers", "writers"])
    dba = starter.token("dora", groups=["dba"])
    with Psql(starter.through(database, agent), "-At") as psql:
        psql.send("TRUNCATE order_lines;")
        approval = psql.approval()
        psql.interrupt()
        psql.wait_for(lambda errors: "canceling statement due to user request" in errors)
        with pytest.raises(Exception, match=r"withdrawn|ended|no longer"):
            starter.decide(approval, "approve", dba)
        psql.finish()
    assert starter.postgres.administer("SELECT count(*) FROM order_lines", database=database) == [(1500,)]


def test_hanging_up_withdraws_what_waits_for_approval(starter: Site, database: str) -> None:
    agent = starter.token("reviewer", kind="agent", groups=["readers", "writers"])
    with Psql(starter.through(database, agent)) as psql:
        psql.send("TRUNCATE order_lines;")
        approval = psql.approval()
        psql.kill()
    tail = starter.control.stream(_follow(), endless=True)
    events = (entry for entry in tail if entry is not None and entry.get("approval") == approval)
    assert next(event for event in events if event.get("code") == "withdrawn")
    assert starter.postgres.administer("SELECT count(*) FROM order_lines", database=database) == [(1500,)]


def test_person_gives_a_reason_before_a_delete_without_a_bound_waits(starter: Site, database: str) -> None:
    person = starter.token("walter", groups=["readers", "writers"])
    dba = starter.token("dora", groups=["dba"])
    with Psql(starter.through(database, person), "-At") as psql:
        psql.send("DELETE FROM order_lines WHERE 1=1;\n\\echo :SQLSTATE")
        psql.wait_for(lambda errors: "reason_required" in errors)
        psql.send("SET interlock.reason = 'spring cleaning';\nDELETE FROM order_lines WHERE 1=1;")
        approval = psql.approval()
        assert starter.control.ask(ShowApproval(approval))["reason"] == "spring cleaning"
        starter.decide(approval, "approve", dba)
        done = psql.finish()
    assert done.out == "42501\nSET\nDELETE 1500\n"


@pytest.mark.parametrize(
    "statement",
    ["SET ROLE dba", "SET SESSION AUTHORIZATION dba", "SELECT set_config('role', 'dba', false)", "SET role = 'dba'"],
)
def test_agent_may_not_switch_role_by(starter: Site, database: str, statement: str) -> None:
    before = starter.postgres.log_position()
    agent = starter.token("reviewer", kind="agent", groups=["readers", "writers"])
    done = run_psql(starter.through(database, agent), f"{statement};\nSELECT current_user;", "-At")
    assert done.out == "app\n"
    assert "switching roles isn't for agents" in done.err
    assert statement not in [logged.text for logged in starter.postgres.statements(before, database=database)]


def test_denied_statement_fails_the_transaction_that_it_stands_in(starter: Site, database: str) -> None:
    writer = starter.token("walter", kind="workload", groups=["readers", "writers"])
    script = """
BEGIN;
UPDATE orders SET note = 'first' WHERE id = 1;
SET ROLE dba;
SELECT 1;
\\echo :SQLSTATE
ROLLBACK;
BEGIN;
UPDATE orders SET note = 'second' WHERE id = 2;
SAVEPOINT here;
SET ROLE dba;
ROLLBACK TO here;
COMMIT;
BEGIN;
UPDATE orders SET note = 'third' WHERE id = 3;
SET ROLE dba;
COMMIT;
SELECT id, note FROM orders WHERE id <= 3 ORDER BY id;
"""
    done = run_psql(starter.through(database, writer), script, "-At")
    assert done.out.splitlines() == [
        *("BEGIN", "UPDATE 1", "25P02", "ROLLBACK"),
        *("BEGIN", "UPDATE 1", "SAVEPOINT", "ROLLBACK", "COMMIT"),
        *("BEGIN", "UPDATE 1", "ROLLBACK"),
        *("1|", "2|second", "3|"),
    ]
    assert done.err.count("ERROR:") == 4


def test_batch_is_refused_whole_if_one_of_its_statements_is(starter: Site, database: str) -> None:
    writer = starter.token("walter", kind="workload", groups=["readers", "writers"])
    batch = "UPDATE orders SET note = 'batch' WHERE id = 1; SET ROLE dba; SELECT 1"
    done = run_psql(starter.through(database, writer), "", "-At", "-c", batch)
    assert (done.status, done.out) == (1, "")
    assert starter.postgres.administer("SELECT note FROM orders WHERE id = 1", database=database) == [(None,)]
    fine = run_psql(starter.through(database, writer), "", "-At", "-c", "SELECT 1; SELECT 2", "-c", "SELECT 3")
    assert fine.out == "1\n2\n3\n"


@pytest.mark.parametrize(
    "statement",
    [
        "SELEC 1",
        "SELECT * FROM orders WHERE",
        "SELECT 'ä' || 'ü', FROM orders",
        "SELECT 1;;; SELECT (2",
        "SELECT 'open",
        "/* open",
        "CREATE TABLE t (a int, b",
        'SELECT "',
    ],
)
def test_syntax_error_is_shown_with_the_same_words_and_position_as_without_the_gateway(
    starter: Site, database: str, statement: str
) -> None:
    through = run_psql(starter.through(database), "", "-v", "VERBOSITY=default", "-c", statement)
    direct = run_psql(starter.direct(database), "", "-v", "VERBOSITY=default", "-c", statement)
    assert (through.err, through.out) == (direct.err, direct.out)


def _follow() -> TailLog:
    return TailLog(lines=1000, follow=True)
