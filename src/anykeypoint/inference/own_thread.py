"""A thread for one call, so that what torch keeps for the thread ends with the call."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_own_thread(call: Callable[[], T]) -> T:
    """What a call gives, or the error that it raises, made in a thread that ends with it.

    For processes in which several threads ask models. OpenMP's library keeps helpers for every thread that ever asked
    torch for something. Where they are more than the cores, they sleep at every wait instead of looking again, of which
    one answer has thousands: a thread that stays alive makes the others slower for good, also while it does nothing.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:  # it is the caller's
            result.set_exception(error)

    thread = threading.Thread(target=run, name="anykeypoint-call", daemon=True)
    thread.start()
    thread.join()
    return result.result()
