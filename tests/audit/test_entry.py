"""Entries: canonical, small whatever is in them, and readable again."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.entry import (
    MAX_ENTRY_BYTES,
    Entry,
    canonical,
    cut_text,
    decode,
    digest,
    encode,
    encode_unlimited,
    encode_whole,
    fit,
    fit_object,
)

HOSTILE = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    ["\x00" * 3000, '"' * 5000, "\\" * 3000, "é" * 4000, "\ud800" * 2000, "😀" * 1500, "\u2028" * 100]
)
NAMES = st.tuples(HOSTILE) | st.lists(HOSTILE, max_size=40).map(tuple)
ENTRIES = st.builds(
    Entry,
    type=st.sampled_from(["intent", "outcome", "admin"]),
    v=st.just(1),
    action=st.just("a" * 96),
    approval=st.just("p" * 96),
    session=st.just("s" * 96),
    prev=st.just("0" * 64),
    payload=st.just("1" * 64),
    policy_hash=HOSTILE,
    reason=HOSTILE,
    tag=HOSTILE,
    code=HOSTILE,
    kind=HOSTILE,
    decision=HOSTILE,
    leaves=NAMES,
    foreseen=NAMES,
    policies=NAMES,
    groups=NAMES,
    approvers=NAMES,
    detail=st.none() | st.dictionaries(HOSTILE, HOSTILE, max_size=12),
    masked=st.none() | st.dictionaries(HOSTILE, st.integers(0, 2**53 - 1), max_size=40),
    at=st.integers(1, 2**53 - 1),
    seq=st.integers(1, 2**53 - 1),
    who=HOSTILE.map(lambda text: fit_object({"id": text, "kind": text, "person": text}, 640)),
    on=HOSTILE.map(lambda text: fit_object({"database": text, "resource": text}, 176)),
    by=HOSTILE.map(lambda text: fit_object({"instance": text, "worker": text}, 96)),
)


@given(ENTRIES)
def test_entry_with_hostile_values_stays_under_two_kibibytes_and_canonical_P10(entry: Entry) -> None:
    data = encode(entry)
    assert len(data) <= MAX_ENTRY_BYTES
    plain = json.loads(data)
    assert json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data
    assert encode_unlimited(decode(data)) == data


@given(ENTRIES)
def test_what_is_cut_is_named_and_kept_whole(entry: Entry) -> None:
    data, details = fit(entry)
    cut = decode(data).cut or {}
    whole = json.loads(details) if details else {}
    assert set(cut) == set(whole)
    for name in ("reason", "tag", "kind", "code"):
        value = getattr(entry, name).encode("utf-8", "backslashreplace").decode()
        assert (whole[name] if name in cut else getattr(decode(data), name)) == value
    for name in ("leaves", "policies"):
        values = [text.encode("utf-8", "backslashreplace").decode() for text in getattr(entry, name)]
        assert (whole[name] if name in cut else list(getattr(decode(data), name))) == values


def test_fields_are_declared_in_the_order_of_their_encoding() -> None:
    names = [field.name for field in msgspec.structs.fields(Entry)]
    assert names == sorted(names)
    assert [field.encode_name for field in msgspec.structs.fields(Entry)] == names


def test_members_of_nested_objects_are_sorted_by_code_point_in_every_encoding() -> None:
    entry = Entry(detail={"😀": 1, "0": "", "\uffff": 2, "": "", "é": 3}, masked={"b": 1, "a": 2}, cut={"z": 1, "y": 2})
    expected = '{"cut":{"y":2,"z":1},"detail":{"":"","0":"","é":3,"\uffff":2,"😀":1},"masked":{"a":2,"b":1}}'.encode()
    assert encode(entry) == encode_unlimited(entry) == encode_whole(entry) == fit(entry)[0] == expected


def test_control_characters_are_escaped_as_rfc_8785_says() -> None:
    text = "".join(map(chr, range(0x20))) + '"\\/\x7f\u2028€😀'
    escaped = (
        '"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\\u0010\\u0011'
        "\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f"
        '\\"\\\\/\x7f\u2028€😀"'
    )
    assert canonical(text) == escaped.encode()


def test_an_entry_of_the_right_size_is_not_touched() -> None:
    entry = Entry(type="outcome", v=1, rows=3)
    assert encode_whole(entry) == encode(entry) == b'{"rows":3,"type":"outcome","v":1}'
    assert digest(encode(entry)) == hashlib.sha256(encode(entry)).hexdigest()


def test_an_entry_that_no_cut_can_save_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="can't be cut"):
        fit(Entry(session="s" * 3000))


@given(HOSTILE.map(lambda text: text.encode("utf-8", "replace").decode()), st.integers(0, 300))
def test_cut_text_is_a_prefix_within_its_limit(text: str, limit: int) -> None:
    short = cut_text(text, limit)
    assert text.startswith(short)
    assert len(canonical(short)) - 2 <= limit


@given(st.dictionaries(st.text(max_size=8), HOSTILE | st.lists(HOSTILE, max_size=30), max_size=6))
def test_nested_objects_keep_to_their_limit(value: dict[str, object]) -> None:
    encoded = bytes(fit_object(value, 300))
    assert len(encoded) <= 300
    assert isinstance(json.loads(encoded), dict)
