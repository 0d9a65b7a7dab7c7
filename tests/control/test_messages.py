from pathlib import Path

from interlock.control.messages import (
    Decide,
    IssueHandle,
)
from tests.control.house import House, run


def test_token_in_a_malformed_request_is_not_repeated_P5(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = await house.say(b'{"op":"approvals.decide","id":"a","verdict":"approve","token":["CANARY"]}\n')
        assert b"bad_request" in answer
        assert b"CANARY" not in answer

    run(tmp_path, story)
    assert "CANARY" not in repr(Decide("a", "approve", "CANARY")) + repr(IssueHandle("r", "CANARY"))
