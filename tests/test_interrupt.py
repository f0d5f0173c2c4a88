"""An interrupt is noted wherever it lands, and raised where it is asked for."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Iterator

import pytest

from nas import interrupt
from nas.files import replacing


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Thing:
    """Something that a weak reference can point to."""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before
    assert not interrupt.came()


def test_in_a_callback_of_the_interpreter_it_is_not_lost() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupt.heeded():
        thing = Thing()
        kept = weakref.ref(thing, lambda _: (press(), [None for _ in range(10)]))
        del thing
        reached.append("after the callback")
        assert kept() is None
        interrupt.check()
        reached.append("after the safe point")
    assert reached == ["after the callback"]


def test_without_a_safe_point_it_reaches_the_caller_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.heeded():
        press()


def test_an_error_that_it_causes_is_not_what_the_caller_sees() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.heeded():
        press()
        raise RuntimeError("the workers are gone")
    with pytest.raises(RuntimeError, match="of its own"), interrupt.heeded():
        raise RuntimeError("of its own")


def test_many_are_one_and_one_who_insists_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.heeded():
        for _ in range(50):
            press()
        reached = True
        interrupt.check()
    assert reached
    monkeypatch.setattr(interrupt, "INSISTENCE", -1.0)
    with pytest.raises(KeyboardInterrupt), interrupt.heeded():
        press()
        press()
        pytest.fail("nothing was raised")


def test_a_program_keeps_its_own_handler() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with interrupt.heeded():
            press()
            interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def test_outside_the_main_thread_nothing_changes() -> None:
    handlers = []

    def look() -> None:
        with interrupt.heeded():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_a_half_written_file_is_known_until_it_is_written(tmp_path) -> None:
    with replacing(tmp_path / "table.csv") as temporary:
        assert temporary in interrupt.unfinished
    assert temporary not in interrupt.unfinished
