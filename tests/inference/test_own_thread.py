"""A call in a thread of its own: the caller has what it gives, and no thread stays."""

import threading

import pytest

from anykeypoint.inference.own_thread import in_own_thread


def test_the_caller_has_the_value_and_the_thread_has_ended():
    thread = in_own_thread(threading.current_thread)
    assert thread is not threading.current_thread() and not thread.is_alive()


def test_an_error_is_the_callers():
    def fail():
        raise ValueError("there is no such point")

    before = threading.active_count()
    with pytest.raises(ValueError, match="there is no such point"):
        in_own_thread(fail)
    assert threading.active_count() == before
