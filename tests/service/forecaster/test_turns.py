"""Whose turn it is, against what :class:`Turns` promises."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kronos_service.forecaster.turns import Turns


def take(turns: Turns) -> tuple:
    caller, _ = turns.next()
    return caller, *turns.take(caller)


def test_nothing_waits_at_first():
    turns = Turns(lambda _: 1)
    assert len(turns) == 0
    assert turns.next() is None
    assert turns.cost == 0
    turns.drop("unknown")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.booleans()), max_size=20))
def test_nothing_is_lost_and_nobody_comes_twice_before_another(jobs):
    turns = Turns(lambda _: 1)
    waiting = Counter()
    for number, (caller, count, _) in enumerate(jobs):
        turns.add(caller, number, [(number, piece) for piece in range(count)])
        waiting[caller] += count
    for number, (caller, count, dropped) in enumerate(jobs):
        if dropped:
            turns.drop(number)
            waiting[caller] -= count
    assert len(turns) == turns.cost == waiting.total()
    assert all(turns.waiting(caller) == waiting[caller] for caller in "abc")

    taken = [take(turns) for _ in range(len(turns))]

    assert len(turns) == 0
    assert turns.jobs == ()
    expected = {(n, piece) for n, (_, count, dropped) in enumerate(jobs) if not dropped for piece in range(count)}
    assert {work for _, _, work in taken} == expected
    for number in {job for _, job, _ in taken}:
        pieces = [work for _, job, work in taken if job == number]
        assert pieces == sorted(pieces)
    callers = [caller for caller, _, _ in taken]
    for position, caller in enumerate(callers[:-1]):
        # The same caller twice in a row: nobody else had anything left.
        if callers[position + 1] == caller:
            assert set(callers[position:]) == {caller}


@given(st.lists(st.integers(1, 50), min_size=30, max_size=60), st.lists(st.integers(1, 50), min_size=30, max_size=60))
def test_callers_get_equal_shares_whatever_the_size_of_their_pieces(of_a, of_b):
    turns = Turns(float)
    turns.add("a", 1, of_a)
    turns.add("b", 2, of_b)
    served = Counter()
    while turns.waiting("a") and turns.waiting("b"):
        caller, _, cost = take(turns)
        served[caller] += cost

        assert abs(served["a"] - served["b"]) <= 50, "never further apart than one piece"


def test_whoever_was_idle_has_no_credit():
    turns = Turns(float)
    turns.add("busy", 1, [10] * 20)
    for _ in range(10):
        take(turns)
    turns.add("idle", 2, [10] * 5)

    assert [take(turns)[0] for _ in range(6)].count("idle") == 3


def test_whoever_comes_back_at_once_is_still_charged():
    turns = Turns(float)
    turns.add("large", 1, [100])
    turns.add("small", 2, [10] * 20)
    first = [take(turns)[0] for _ in range(2)]
    turns.add("large", 3, [100])

    following = [take(turns)[0] for _ in range(9)]

    assert sorted(first) == ["large", "small"]
    assert following == ["small"] * 9


def test_callers_can_be_passed_over():
    turns = Turns(float)
    turns.add("a", 1, [1, 2])
    turns.add("b", 2, [3])

    assert turns.next(without={"a"}) == ("b", 3)
    assert turns.next(without={"a", "b"}) is None


def test_what_is_no_longer_ahead_is_forgotten():
    turns = Turns(float)
    for number in range(100):
        turns.add(f"caller {number}", number, [1])
        take(turns)

    assert not turns._charged
