"""What is kept in memory: within a sum of sizes and for a time, and what goes is what was used longest ago."""

import copy
import pickle
import threading

from anykeypoint.models.bounded_cache import BoundedCache


def test_a_cache_is_bounded_in_sizes_and_forgets_what_was_used_longest_ago():
    sizes = []
    cache = BoundedCache(10, changed=sizes.append)
    assert cache.put("a", 1, 4) and cache.put("b", 2, 4)
    assert cache.find("a") == 1
    assert cache.put("c", 3, 4) and cache.find("b") is None and cache.find("a") == 1 and cache.held == 8
    assert not cache.put("d", 4, 11) and cache.find("c") == 3
    assert cache.put("a", 5, 1) and cache.find("a") == 5 and cache.held == 5 == sizes[-1] and max(sizes) <= 10
    cache.clear()
    assert len(cache) == cache.held == sizes[-1] == 0


def test_a_cache_forgets_with_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    cache = BoundedCache(10, seconds=5)
    cache.put("a", 1)
    cache.put("b", 2)
    now[0] = 4.0
    assert cache.find("a") == 1
    now[0] = 6.0
    assert cache.find("b") is None and cache.find("a") == 1 and cache.held == 1


def test_what_is_kept_is_not_made_again_and_what_is_too_large_is_each_time():
    made = []

    def make():
        made.append("value")
        return "value"

    cache = BoundedCache(3)
    assert [cache.get("a", make) for _ in range(3)] == ["value"] * 3 and made == ["value"]
    assert [cache.get("b", make, len) for _ in range(2)] == ["value"] * 2 and len(made) == 3 and len(cache) == 1


def test_a_value_that_is_being_made_stops_no_other_thread():
    cache = BoundedCache(2)
    begun, other_done = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert other_done.wait(60)
        return 1

    thread = threading.Thread(target=cache.get, args=("a", slow))
    thread.start()
    assert begun.wait(60) and cache.get("b", lambda: 2) == 2
    other_done.set()
    thread.join(60)
    assert (cache.find("a"), cache.find("b")) == (1, 2)


def test_a_copy_starts_empty_with_the_same_bounds():
    cache = BoundedCache(10, seconds=5)
    cache.put("lock", threading.Lock())  # which can be neither copied nor sent
    for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert (other.most, other.seconds, len(other), other.held) == (10, 5, 0, 0)
