"""The operators' log."""

import json
import logging
import sys

from interlock.app.logs import JsonLines


def test_event_is_one_json_line_with_its_fields() -> None:
    record = logging.makeLogRecord(
        {"msg": "session_failed", "levelname": "WARNING", "name": "interlock.transport", "session_id": "s1"}
    )
    line = json.loads(JsonLines("worker-0.0").format(record))
    assert line["event"] == "session_failed"
    assert line["level"] == "warning"
    assert line["session_id"] == "s1"
    assert line["process"] == "worker-0.0"


def test_text_of_an_exception_is_never_logged_T24() -> None:
    try:
        int("s3cret")
    except ValueError:
        record = logging.makeLogRecord({"msg": "broken", "exc_info": sys.exc_info()})
    text = JsonLines("x").format(record)
    assert "s3cret" not in text
    assert json.loads(text)["error"] == "ValueError"
    assert "test_logs.py" in json.loads(text)["place"]
