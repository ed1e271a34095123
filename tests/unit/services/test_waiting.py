"""Which download comes next: the small ones, no host flooded, no disk filled, nobody left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.model.identity import Sha512
from vmcatcher.services.waiting import Job, Waiting

MIB = 1 << 20


def digest(of: object) -> Sha512:
    return Sha512(hashlib.sha512(str(of).encode()).hexdigest())


def job(name: str, size: int = 1, host: str = "a", content: str | None = None) -> Job[None]:
    return Job(name, digest(content or name), size, host, None)


def waiting(*jobs: Job[None], per_host: int = 2, free: int | None = None, there: dict[str, int] | None = None):
    def missing(one: Job[None]) -> int:
        return one.size_bytes - (there or {}).get(one.name, 0)

    return Waiting(jobs, per_host=per_host, free=lambda: free, missing=missing)


def taken(queue: Waiting[None]) -> list[str]:
    """Return what may begin at once, in order."""
    found = []
    while (one := queue.take()) is not None:
        found.append(one.name)
    return found


def one_by_one(queue: Waiting[None]) -> list[str]:
    found = []
    while (one := queue.take()) is not None:
        found.append(one.name)
        queue.end(one, has_host_failed=False)
    return found


def test_smallest_comes_first_and_equals_in_their_order():
    jobs = [job("big", 9), job("b", 5), job("a", 5), job("small", 1)]
    assert one_by_one(waiting(*jobs)) == ["small", "b", "a", "big"]


def test_no_more_than_so_many_ask_one_host():
    queue = waiting(job("1", 1), job("2", 2), job("3", 3), job("other", 9, "b"), per_host=2)
    assert taken(queue) == ["1", "2", "other"]
    assert len(queue) == 1


def test_next_of_a_host_begins_when_one_of_it_is_over():
    first, second = job("1", 1), job("2", 2)
    queue = waiting(first, second, per_host=1)
    assert queue.take() == first
    assert queue.take() is None
    queue.end(first, has_host_failed=False)
    assert queue.take() == second


def test_same_bytes_wait_until_the_first_who_wants_them_has_them():
    first, twin = job("first", 1, content="same"), job("twin", 1, "b", content="same")
    queue = waiting(first, twin, job("other", 5))
    assert taken(queue) == ["first", "other"]
    queue.end(first, has_host_failed=True)
    assert queue.take() == twin


def test_host_that_failed_comes_after_the_others():
    bad, worse = job("bad", 1, "bad"), job("worse", 2, "bad")
    queue = waiting(bad, worse, job("good", 9, "good"), job("better", 8, "good"), per_host=1)
    assert queue.take() == bad
    queue.end(bad, has_host_failed=True)
    assert taken(queue) == ["better", "worse"]


def test_what_others_have_still_to_write_is_counted():
    small, big = job("small", 10 * MIB), job("big", 20 * MIB, "b")
    queue = waiting(small, big, free=30 * MIB)
    assert taken(queue) == ["small"]
    queue.end(small, has_host_failed=False)
    assert taken(queue) == ["big"]


def test_what_was_written_is_in_the_free_space_already():
    small, big = job("small", 10 * MIB), job("big", 20 * MIB, "b")
    queue = waiting(small, big, free=30 * MIB)
    assert taken(queue) == ["small"]
    queue.wrote("small", 4 * MIB)
    assert taken(queue) == ["big"]


def test_bytes_that_were_forgotten_are_needed_again():
    small, big = job("small", 10 * MIB), job("big", 20 * MIB, "b")
    queue = waiting(small, big, free=30 * MIB)
    queue.take()
    queue.wrote("small", 4 * MIB)
    queue.wrote("small", -4 * MIB)
    assert taken(queue) == []


def test_what_an_earlier_run_left_takes_no_space_again():
    jobs = [job("small", 10 * MIB), job("big", 20 * MIB, "b")]
    assert taken(waiting(*jobs, free=22 * MIB, there={"big": 10 * MIB})) == ["small", "big"]


def test_smaller_one_that_fits_goes_before_one_that_does_not():
    # Larger, but most of it is here.
    jobs = [job("0", MIB, "z"), job("much", 20 * MIB, "a"), job("left", 30 * MIB, "b")]
    assert taken(waiting(*jobs, free=12 * MIB, there={"left": 29 * MIB})) == ["0", "left"]


def test_one_alone_begins_whatever_the_disk_says_of_itself():
    # The download says with its own numbers that there is no space.
    assert taken(waiting(job("big", 20 * MIB), job("bigger", 21 * MIB), free=0)) == ["big"]


_SIZES = st.lists(st.tuples(st.integers(1, 50), st.sampled_from("abc"), st.integers(0, 5)), max_size=30)


@given(_SIZES, st.integers(1, 4), st.integers(1, 3), st.integers(0, 60) | st.none(), st.randoms())
def test_every_job_comes_exactly_once_and_no_rule_is_ever_broken(
    found: Iterable[tuple[int, str, int]], hands: int, per_host: int, free: int | None, dice
):
    jobs = [job(str(at), size * MIB, host, str(content)) for at, (size, host, content) in enumerate(found)]
    queue = waiting(*jobs, per_host=per_host, free=None if free is None else free * MIB)
    flying: list[Job[None]] = []
    seen: list[str] = []
    while len(queue) or flying:
        one = queue.take() if len(flying) < hands else None
        if one is None:
            assert flying, "something waits, and nothing is on its way that it could wait for"
            queue.end(flying.pop(dice.randrange(len(flying))), has_host_failed=dice.random() < 0.3)
            continue
        seen.append(one.name)
        flying.append(one)
        assert len({other.sha512 for other in flying}) == len(flying)
        assert all(sum(other.host == host for other in flying) <= per_host for host in "abc")
        if free is not None and len(flying) > 1:
            assert sum(other.size_bytes for other in flying) <= free * MIB
    assert sorted(seen) == sorted(one.name for one in jobs)


@pytest.mark.timeout(10)
def test_ten_thousand_jobs_of_one_host_are_no_burden():
    queue = waiting(*(job(str(number), number % 97, "a") for number in range(10_000)))
    assert len(one_by_one(queue)) == 10_000
