from datetime import datetime, timedelta
from pathlib import Path

from interlock.control.messages import (
    IssueHandle,
)
from tests.control.house import NOW, House, run


def test_person_exchanges_a_token_for_a_handle_of_one_resource(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = await house.ask(IssueHandle("shop", "bob-token", uses=3, seconds=9999))
        assert answer["handle"].startswith("ilk_")
        assert datetime.fromisoformat(answer["expires_at"]) == NOW + timedelta(seconds=60)

    run(tmp_path, story)
