"""The gateway's own cancel keys (T11)."""

import itertools
import secrets

from interlock.transport.cancel import WRONG_BURST, CancelKeys, worker_of


def make(worker: int = 5) -> tuple[CancelKeys, list[tuple[int, int, bytes]], list[float]]:
    forwarded: list[tuple[int, int, bytes]] = []
    clock = [100.0]
    keys = CancelKeys(
        worker,
        random_bytes=secrets.token_bytes,
        monotonic=lambda: clock[0],
        forward=lambda *request: forwarded.append(request),
    )
    return keys, forwarded, clock


def test_right_key_cancels_and_no_other_does_T11() -> None:
    keys, _, _ = make()
    cancelled: list[str] = []
    one = keys.issue(lambda: cancelled.append("one"), secret_bytes=32)
    two = keys.issue(lambda: cancelled.append("two"), secret_bytes=32)
    keys.present(one[0], two[1], source="a")
    keys.present(one[0], one[1][:4], source="a")
    keys.present(one[0], b"", source="a")
    assert cancelled == []
    keys.present(*one, source="a")
    assert cancelled == ["one"]


def test_key_of_an_ended_session_cancels_nothing_T11() -> None:
    keys, _, _ = make()
    cancelled: list[str] = []
    key = keys.issue(lambda: cancelled.append("one"), secret_bytes=4)
    keys.withdraw(key)
    keys.present(*key, source="a")
    keys.present(key[0], b"", source="a")
    assert cancelled == []


def test_secret_is_as_long_as_the_clients_protocol_allows() -> None:
    keys, _, _ = make()
    assert len(keys.issue(lambda: None, secret_bytes=4)[1]) == 4
    assert len(keys.issue(lambda: None, secret_bytes=256)[1]) == 32


def test_request_for_another_worker_is_passed_on_with_its_key() -> None:
    keys, forwarded, _ = make(5)
    other, _, _ = make(9)
    pid, secret = other.issue(lambda: None, secret_bytes=32)
    assert worker_of(pid) == 9
    keys.present(pid, secret, source="a")
    assert forwarded == [(9, pid, secret)]
    assert other.accept(pid, secret)


def test_process_ids_are_positive_and_never_shared_by_two_sessions() -> None:
    numbers = itertools.chain(
        [b"\0\0\0\0"], itertools.repeat(b"\0\0\0\1", 2), (bytes([0, 0, 0, n]) for n in range(2, 9))
    )
    keys = CancelKeys(0, random_bytes=lambda n: next(numbers)[:n], monotonic=lambda: 0.0, forward=lambda *_: None)
    pids = [keys.issue(lambda: None, secret_bytes=4)[0] for _ in range(2)]
    assert len(set(pids)) == 2
    assert all(0 < pid < 2**31 for pid in pids)


def test_guessing_source_is_slowed_down_and_right_keys_of_others_still_work_T11() -> None:
    keys, _, clock = make()
    cancelled: list[str] = []
    pid, secret = keys.issue(lambda: cancelled.append("one"), secret_bytes=4)
    for _ in range(int(WRONG_BURST)):
        keys.present(pid, b"wrong", source="guesser")
    keys.present(pid, secret, source="guesser")
    assert cancelled == []
    keys.present(pid, secret, source="owner")
    assert cancelled == ["one"]
    clock[0] += 1.0
    keys.present(pid, secret, source="guesser")
    assert cancelled == ["one", "one"]


def test_right_keys_use_up_no_attempts() -> None:
    keys, _, _ = make()
    cancelled: list[int] = []
    key = keys.issue(lambda: cancelled.append(1), secret_bytes=32)
    for _ in range(3 * int(WRONG_BURST)):
        keys.present(*key, source="a")
    assert len(cancelled) == 3 * int(WRONG_BURST)
