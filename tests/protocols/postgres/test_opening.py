"""Start-up parameters are settings by another road, and are read exactly as the server reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis
from interlock.core.errors import ClientProtocolError, LimitExceeded
from interlock.protocols.postgres.opening import as_set_statements, read_opening


def test_options_are_split_as_the_server_splits_them() -> None:
    options = r"-c search_path=a\ b -cwork_mem=4MB --enable-seqscan=off -c x.y=\\"
    opening = read_opening({"user": "shop", "options": options}, minor=0)
    assert opening.settings == {"search_path": "a b", "work_mem": "4MB", "enable_seqscan": "off", "x.y": "\\"}


def test_names_reserved_by_the_protocol_are_no_settings() -> None:
    parameters = {"user": "shop", "database": "d", "replication": "false", "_pq_.x": "1", "TimeZone": "UTC"}
    opening = read_opening(parameters, minor=2)
    assert opening.settings == {"timezone": "UTC"}
    assert opening.replication == ""
    assert opening.unrecognised == ("_pq_.x",)
    assert opening.protocol_minor == 2


def test_a_client_without_a_user_is_refused() -> None:
    with pytest.raises(ClientProtocolError):
        read_opening({"database": "d"}, minor=0)


def test_a_client_with_too_many_settings_is_refused_T30() -> None:
    with pytest.raises(LimitExceeded):
        read_opening({"user": "u"} | {f"x.s{n}": "1" for n in range(65)}, minor=0)


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,10}(\.[a-z_]{1,5})?", fullmatch=True)


@given(settings=st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_whatever_a_setting_holds_it_is_one_set_statement_and_no_more_T2(settings: dict[str, str]) -> None:
    analysis = Analyser().analyse(as_set_statements(settings))
    assert isinstance(analysis, Analysis)
    assert len(analysis.statements) == len(settings)
    assert all(statement.sets for statement in analysis.statements)


@pytest.mark.parametrize("name", ["user", "database", "Replication", "options"])
def test_options_name_what_is_no_setting_and_the_client_is_refused_T10(name: str) -> None:
    with pytest.raises(ClientProtocolError):
        read_opening({"user": "u", "options": f"-c {name}=x"}, minor=0)
