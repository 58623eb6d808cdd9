"""The way to the database: at once where that is quick, else on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from checkmate_queue.backends.sqlite.connection import is_busy, pauses, unavailable
from checkmate_queue.backends.sqlite.transaction import Unfinished
from checkmate_queue.core.errors import BackendUnavailableError

if TYPE_CHECKING:
    from checkmate_queue.backends.sqlite.transaction import Transaction
    from checkmate_queue.backends.sqlite.turnstile import Turnstile

log = logging.getLogger("checkmate_queue.sqlite")

T = TypeVar("T")
Verb: TypeAlias = Callable[["Transaction"], T]

_SHARED: Final = 32
_SLOW_SECONDS: Final = 0.1
_SLOW_IN_A_ROW: Final = 3
"""One slow transaction is the scheduler's doing, several are the disk's."""
_WARY_SECONDS: Final = 10.0


@dataclass(slots=True, eq=False)
class Call:
    """A verb that waits for its turn, and the loop that waits for it."""

    verb: Verb[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    deadline: float
    begun: bool = False
    """It takes several transactions, and has had some."""
    result: Any = None
    error: BaseException | None = None


class _Busy(Exception):
    """Somebody else writes."""


class _Apart(Exception):
    """A call must have a transaction of its own."""


class Lane:
    """One connection, used by one verb at a time, from any loop.

    A transaction of a few milliseconds that nobody else is in the way of runs where it is called: handing it
    to a thread would take longer than the transaction itself. Whatever may have to wait (for a lock, for a
    disk that syncs or has shown to be slow) runs on a thread, several calls in one transaction.
    """

    def __init__(
        self,
        path: str,
        connection: sqlite3.Connection,
        transaction: Callable[[sqlite3.Connection], Transaction],
        *,
        check: Callable[[], None],
        begin: Literal["BEGIN", "BEGIN IMMEDIATE"],
        turnstile: Turnstile | None,
        committed: Callable[[Transaction], None],
        patience: float,
        at_once: bool,
    ) -> None:
        self._path = path
        self._connection = connection
        self._transaction = transaction
        self._check = check
        self._begin_statement = begin
        self._turnstile = turnstile
        self._committed = committed
        self._patience = patience
        self._at_once = at_once
        self._slow = 0
        self._wary_until = 0.0
        self._lock = Lock()
        self._starting = Lock()
        self._closed = False
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, verb: Verb[T], *, light: bool = True) -> T:
        """Run a verb in a transaction; a light one, of a few milliseconds at most, at once where possible."""
        if light and self._at_once:
            with suppress(_Busy):
                result = self._run_at_once(verb)
                # Other tasks get their turn, so that what they ask for meanwhile can travel together.
                await asyncio.sleep(0)
                return result
        return await self._hand_over(verb)

    # -- at once ---------------------------------------------------------------------------------

    def _run_at_once(self, verb: Verb[T]) -> T:
        if not self._lock.acquire(blocking=False):
            raise _Busy
        try:
            started = time.monotonic()
            if self._closed or started < self._wary_until:
                raise _Busy
            self._begin_if_free()
            try:
                return self._complete(verb)
            except Unfinished:
                raise _Busy from None
            finally:
                self._judge(started, time.monotonic())
        finally:
            self._lock.release()

    def _judge(self, started: float, ended: float) -> None:
        if ended - started < _SLOW_SECONDS:
            self._slow = 0
            return
        self._slow += 1
        if self._slow == _SLOW_IN_A_ROW:
            self._slow = 0
            self._wary_until = ended + _WARY_SECONDS

    def _begin_if_free(self) -> None:
        if self._turnstile is not None and not self._turnstile.try_enter():
            raise _Busy
        try:
            self._begin()
        finally:
            self._let_pass()

    def _let_pass(self) -> None:
        if self._turnstile is not None:
            self._turnstile.leave()

    def _begin(self) -> None:
        self._check()
        try:
            self._connection.execute(self._begin_statement)
            if self._begin_statement == "BEGIN":
                # Only the first look takes a lock; where that is busy, it is still time to wait.
                self._connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            self._roll_back()
            if is_busy(error):
                raise _Busy from error
            raise unavailable(self._path, error) from error

    def _complete(self, verb: Verb[T]) -> T:
        """Run a verb in the transaction that has begun, and commit what it did."""
        transaction = self._transaction(self._connection)
        try:
            try:
                result = verb(transaction)
            except Unfinished:
                self._connection.execute("COMMIT")
                self._tell(transaction)
                raise
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise unavailable(self._path, error) from error
            raise
        self._tell(transaction)
        return result

    def _tell(self, transaction: Transaction) -> None:
        """Tell of what is committed, which no failure to tell makes undone."""
        try:
            self._committed(transaction)
        except Exception:
            log.exception("What was committed to the SQLite database '%s' can't be told.", self._path)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    # -- on the thread ---------------------------------------------------------------------------

    async def _hand_over(self, verb: Verb[T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._starting:
            if self._closed:
                raise BackendUnavailableError(f"The store of the SQLite database '{self._path}' was closed.")
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="checkmate-queue-sqlite", daemon=True)
                self._thread.start()
            self._calls.put(Call(verb, loop, future, time.monotonic() + self._patience))
        return await future

    def _serve(self) -> None:
        more = True
        left: list[Call] = []
        while more or left:
            calls, is_open = self._gather(wait=not left)
            more &= is_open
            calls += left  # behind those that came meanwhile
            with self._lock:
                left = self._work(calls)
            self._answer([call for call in calls if call not in left])

    def _gather(self, wait: bool) -> tuple[list[Call], bool]:
        """The next calls, and whether more may come."""
        calls: list[Call] = []
        while len(calls) < _SHARED:
            try:
                call = self._calls.get(block=wait and not calls)
            except Empty:
                break
            if call is None:
                return calls, False
            calls.append(call)
        return calls, True

    def _work(self, calls: list[Call]) -> list[Call]:
        """Run calls in one transaction; if one of them fails, each in one of its own.

        Returns those that are not finished.
        """
        together = [call for call in calls if not call.begun]
        alone = [call for call in calls if call.begun]
        if len(together) < 2 or not self._run_together(together):
            alone = calls
        return [call for call in alone if not self._run_alone(call)]

    def _run_together(self, calls: list[Call]) -> bool:
        def run_all(transaction: Transaction) -> None:
            try:
                for call in calls:
                    call.result = call.verb(transaction)
            except Unfinished:
                raise _Apart from None

        try:
            self._wait_for_turn(calls[0].deadline)
            self._complete(run_all)
        except Exception:  # whose it is shows when each runs alone
            return False
        return True

    def _run_alone(self, call: Call) -> bool:
        """Run a call in a transaction of its own; whether it is finished."""
        try:
            self._wait_for_turn(call.deadline)
            call.result = self._complete(call.verb)
        except Unfinished:
            call.begun = True
            call.deadline = time.monotonic() + self._patience
            return False
        except BaseException as error:
            call.error = error
        return True

    def _wait_for_turn(self, deadline: float) -> None:
        if self._turnstile is not None:
            self._turnstile.enter(deadline)
        try:
            for _ in pauses(deadline):
                with suppress(_Busy):
                    self._begin()
                    return
        finally:
            self._let_pass()
        raise BackendUnavailableError(
            f"The SQLite database '{self._path}' has been locked by another process for "
            f"{self._patience:g} s, which is as long as the patience."
        )

    def _answer(self, calls: list[Call]) -> None:
        for loop in {call.loop for call in calls}:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_resolve, [call for call in calls if call.loop is loop])

    # -- closing ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish what was handed over, and take no more. Blocks."""
        with self._starting:
            self._closed = True
            self._calls.put(None)
        if self._thread is not None:
            self._thread.join()
        with self._lock:  # a verb at once may be under way on the thread of another loop
            pass


def _resolve(calls: list[Call]) -> None:
    for call in calls:
        if call.future.done():
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)
