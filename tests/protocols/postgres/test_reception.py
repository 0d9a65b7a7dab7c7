"""The opening of a session: who, to where, with which settings, and nothing dialled before that is on record."""

import pytest

from interlock.core.commands import (
    Ask,
    Authenticate,
    Authenticated,
    Dial,
    DialFailed,
    Dialled,
    FromClient,
    FromUpstream,
    Learned,
    Lookup,
    Refused,
)
from interlock.core.decision import Deny
from interlock.core.secret import Secret
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.mediator import PostgresMediator
from interlock.wire.postgres import backend
from interlock.wire.postgres.authentication import PasswordMessage
from interlock.wire.postgres.replies import error_response
from interlock.wire.postgres.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage
from tests.protocols.dialogue import Dialogue, a_session, a_session_permit
from tests.protocols.postgres.conversation import ANALYSER, greeted, query, sqlstates


def test_client_gives_its_token_and_nothing_is_dialled_before_the_session_is_on_record() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop", "database": "main"}).encode()))
    assert talk.take_client() == b"R\0\0\0\x08\0\0\0\x03"
    talk.gives(FromClient(PasswordMessage(Secret("tok")).encode()))
    asked = talk.the(Authenticate)
    assert (asked.resource, asked.database, asked.credential.reveal()) == ("shop", "main", "tok")
    assert not talk.all(Dial)
    session = a_session()
    talk.gives(Authenticated(session, a_session_permit(session)))
    assert talk.the(Dial).parameters["client_encoding"] == "UTF8"
    assert talk.the(Dial).parameters["standard_conforming_strings"] == "on"
    assert talk.all(Lookup)


def test_client_starts_with_settings_and_they_are_asked_about_as_the_set_that_they_equal_T10() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    options = r"-c role=dba --search-path=a\ b -cgeqo=off"
    greeted(talk, a_session(), {"user": "shop", "application_name": "psql", "options": options})
    action = talk.the(Ask).action
    assert any(leaf.startswith("admin/") for leaf in action.leaves)
    assert {"role", "search_path", "geqo", "application_name"} <= set(action.facts["settings"])  # type: ignore[arg-type]
    assert not talk.all(Dial)
    talk.deny()
    assert talk.closed == "policy_denied"
    assert sqlstates(talk.take_client()) == ["42501"]


def test_client_starts_with_harmless_settings_and_they_reach_the_upstream_once_permitted() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop", "application_name": "psql", "options": "-c geqo=off"})
    talk.permit()
    dialled = talk.the(Dial).parameters
    assert dialled["geqo"] == "off"
    assert dialled["application_name"] == "psql"
    assert "options" not in dialled


@pytest.mark.parametrize("options", ["-d 5", "--", "-c", "-c x", "-p5432", "geqo=off"])
def test_client_starts_with_switches_that_are_no_settings_and_is_refused(options: str) -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop", "options": options}).encode()))
    assert talk.closed == "client_protocol"


def test_client_asks_for_another_encoding_and_is_refused_T5() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop", "client_encoding": "SJIS"}).encode()))
    assert talk.closed == "encoding"
    assert sqlstates(talk.take_client()) == ["0A000"]


def test_client_asks_for_replication_and_is_refused_T9() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop", "replication": "database"})
    assert talk.closed == "unsupported"
    assert not talk.all(Dial)


def test_client_asks_for_a_newer_protocol_and_is_told_the_newest_that_there_is() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    version = 3 << 16 | 9999
    talk.gives(FromClient(StartupMessage(version, {"user": "shop", "_pq_.x": "1"}).encode()))
    wanted = backend.NegotiateProtocolVersion(PROTOCOL_3_2, ("_pq_.x",)).encode()
    assert talk.take_client().startswith(wanted)
    talk.gives(FromClient(PasswordMessage(Secret("tok")).encode()))
    session = a_session()
    talk.gives(Authenticated(session, a_session_permit(session)))
    assert talk.the(Dial).cancel_secret_bytes == 32


def test_client_speaks_protocol_2_and_is_refused() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(2 << 16, {"user": "shop"}).encode()))
    assert sqlstates(talk.take_client()) == ["0A000"]
    assert talk.closed


def test_clients_token_is_refused_and_it_learns_no_more_than_that() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop"}).encode()))
    talk.gives(FromClient(PasswordMessage(Secret("tok-4711")).encode()))
    talk.gives(Refused(Deny("authentication", "it is not valid here")))
    down = talk.take_client()
    assert sqlstates(down) == ["28P01"]
    assert b"tok-4711" not in down
    assert talk.closed == "authentication"


def test_upstream_cannot_be_dialled_and_the_client_is_told_so() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop"})
    talk.gives(DialFailed("upstream_tls"))
    assert sqlstates(talk.take_client()) == ["08001"]
    assert talk.closed == "upstream_tls"


def test_a_read_only_session_is_read_only_upstream_too() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(read_only=True), {"user": "shop"})
    assert talk.the(Dial).parameters["default_transaction_read_only"] == "on"


def test_upstream_talks_before_the_client_is_welcome_and_the_order_is_kept() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop"})
    notice = b"N" + error_response("NOTICE", "01000", "early")[1:]
    talk.take_client()
    talk.gives(Dialled({}, (1, b"abcd")), FromUpstream(notice))
    assert talk.take_client() == b""
    talk.gives(Learned(None))
    down = talk.take_client()
    assert down.startswith(b"R")
    assert down.endswith(notice)


def test_a_stranger_sends_a_large_query_instead_of_a_password_and_none_of_it_is_held_T30() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop"}).encode()))
    talk.gives(FromClient(query("x" * 1_000_000)[:500_000]))
    assert talk.closed == "client_protocol"
