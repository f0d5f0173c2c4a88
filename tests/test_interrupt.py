"""Interrupts are noted anywhere and raised at safe points."""

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
    """Target of a weak reference."""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before
    assert not interrupt.requested()


def test_an_interrupt_inside_a_callback_of_the_interpreter_is_not_lost() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupt.deferred():
        thing = Thing()
        kept = weakref.ref(thing, lambda _: (press(), [None for _ in range(10)]))
        del thing
        reached.append("after the callback")
        assert kept() is None
        interrupt.check()
        reached.append("after the safe point")
    assert reached == ["after the callback"]


def test_without_a_safe_point_an_interrupt_is_raised_at_the_end_of_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.deferred():
        press()


def test_an_interrupt_hides_the_error_that_it_causes() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.deferred():
        press()
        raise RuntimeError("the workers have died")
    with pytest.raises(RuntimeError, match="of its own"), interrupt.deferred():
        raise RuntimeError("of its own")


def test_many_interrupts_count_as_one_until_a_late_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.deferred():
        for _ in range(50):
            press()
        reached = True
        interrupt.check()
    assert reached
    monkeypatch.setattr(interrupt, "SECOND_SIGNAL", -1.0)
    with pytest.raises(KeyboardInterrupt), interrupt.deferred():
        press()
        press()
        pytest.fail("nothing was raised")


def test_a_program_keeps_its_own_handler() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with interrupt.deferred():
            press()
            interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def test_handlers_stay_in_place_outside_the_main_thread() -> None:
    handlers = []

    def look() -> None:
        with interrupt.deferred():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_a_temporary_file_is_listed_until_it_is_written(tmp_path) -> None:
    with replacing(tmp_path / "table.csv") as temporary:
        assert temporary in interrupt.temporary_files
    assert temporary not in interrupt.temporary_files
