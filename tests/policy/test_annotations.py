import pytest

from interlock.core.decision import Obligations
from interlock.policy.annotations import AnnotationError, Duties, decode_duties, decode_id, strictest


@pytest.mark.parametrize(
    ("effect", "annotations", "expected"),
    [
        ("permit", {"id": "x"}, Duties()),
        ("permit", {"require_reason": "", "read_only": "true"}, Duties(require_reason=True, read_only=True)),
        ("permit", {"max_rows": "1", "max_bytes": "3GiB"}, Duties(max_rows=1, max_bytes=3 << 30)),
        ("permit", {"record": "request", "advice": "Ask."}, Duties(record="request", advice="Ask.")),
        ("forbid", {"advice": "No.", "description": "why"}, Duties(advice="No.")),
        ("forbid", {"approvers": "b, a", "expires": "90s"}, Duties(approvers=("a", "b"), expires_seconds=90)),
        ("forbid", {"approvers": "a", "expires": "7d"}, Duties(approvers=("a",), expires_seconds=604800)),
    ],
)
def test_annotations_become_duties(effect: str, annotations: dict[str, str], expected: Duties) -> None:
    assert decode_duties(effect, annotations) == expected


@pytest.mark.parametrize(
    ("effect", "annotations"),
    [
        ("permit", {"Expires": "1m"}),
        ("permit", {"approvers": "dba"}),
        ("permit", {"expires": "1m"}),
        ("forbid", {"expires": "1m"}),
        ("forbid", {"max_rows": "5"}),
        ("forbid", {"require_reason": ""}),
        *(("forbid", {"approvers": text}) for text in ("", ",", "a,", "a,a", "a b", 'a"', "\u0430\u200b")),
        *(
            ("forbid", {"approvers": "a", "expires": text})
            for text in ("", "0m", "30", "-1m", "1.5h", "8d", "99999999d", "٣m")
        ),
        *(("permit", {"max_rows": text}) for text in ("", "0", "-1", "1e3", "1_000", "٣", "9" * 30)),
        *(("permit", {"max_bytes": text}) for text in ("0", "1MB", "1 MiB", "9223372036854775807GiB")),
        *(("permit", {"require_reason": text}) for text in ("false", "no", "True")),
        ("permit", {"record": "none"}),
        *(("permit", {"advice": text}) for text in ("", "two\nlines", "\x1b[2J", "x" * 301)),
    ],
)
def test_annotation_that_cannot_be_obeyed_is_refused(effect: str, annotations: dict[str, str]) -> None:
    with pytest.raises(AnnotationError):
        decode_duties(effect, annotations)


@pytest.mark.parametrize("name", ["", "-x", "X", "a b", "a" * 65, "a\n", "é", "a;b"])
def test_id_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(AnnotationError):
        decode_id({"id": name})


def test_strictest_is_the_same_in_any_order_and_never_milder_than_one_of_them() -> None:
    duties = [
        Duties(max_rows=5, record="request"),
        Duties(max_rows=9, max_bytes=7, require_reason=True),
        Duties(read_only=True, record="full"),
        Duties(),
    ]

    joined = Obligations(max_rows=5, max_bytes=7, require_reason=True, read_only=True, record="full")
    assert strictest(duties) == strictest(reversed(duties)) == joined
    assert strictest([]) == Obligations()
