"""The fair queue, against what it promises."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kronos_service.forecaster.fair_queue import FairQueue


def test_nothing_waits_at_first():
    queue = FairQueue()
    assert len(queue) == 0
    with pytest.raises(KeyError):
        queue.take()
    queue.drop("unknown")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.booleans()), max_size=20))
def test_nothing_is_lost_and_nobody_comes_twice_before_another(jobs):
    queue = FairQueue()
    waiting = Counter()
    for number, (caller, count, _) in enumerate(jobs):
        queue.add(caller, number, [(number, piece) for piece in range(count)])
        waiting[caller] += count
    for number, (caller, count, dropped) in enumerate(jobs):
        if dropped:
            queue.drop(number)
            waiting[caller] -= count
    assert len(queue) == waiting.total()
    assert all(queue.waiting(caller) == waiting[caller] for caller in "abc")

    taken = [queue.take() for _ in range(len(queue))]

    assert len(queue) == 0
    assert queue.jobs == ()
    expected = {(n, piece) for n, (_, count, dropped) in enumerate(jobs) if not dropped for piece in range(count)}
    assert {work for _, work in taken} == expected
    for number in {job for job, _ in taken}:
        pieces = [work for job, work in taken if job == number]
        assert pieces == sorted(pieces)
    callers = [jobs[job][0] for job, _ in taken]
    for position, caller in enumerate(callers[:-1]):
        # The same caller twice in a row: nobody else had anything left.
        if callers[position + 1] == caller:
            assert set(callers[position:]) == {caller}
