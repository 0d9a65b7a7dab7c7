from interlock.policy.recent import Recent


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    recent: Recent[int, str] = Recent(4)
    recent.put(0, "kept")
    for number in range(1, 40):
        assert recent.get(0) == "kept"
        recent.put(number, "passing")

    assert recent.get(1) is None
    assert recent.get(39) == "passing"


def test_it_never_holds_more_than_two_generations() -> None:
    recent: Recent[int, int] = Recent(4)
    for number in range(1000):
        recent.put(number, number)

    assert sum(recent.get(number) is not None for number in range(1000)) <= 8
