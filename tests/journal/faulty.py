"""A disk that fails on request, by wrapping what the journal asks of its store."""

import sqlite3
import threading


class DiskError(sqlite3.OperationalError):
    """An error with the name that SQLite would give it."""

    def __init__(self, name):
        super().__init__(f"injected {name}")
        self.sqlite_errorname = name


class FaultyStore:
    """Wraps methods of a store that is in use; `mend` makes it well again."""

    def __init__(self, store):
        self._store = store
        self._spoilt = set()
        self._gate = threading.Event()
        self.calls = []

    def fail(self, *methods, name="SQLITE_IOERR", times=None):
        """Let `methods` raise, the first `times` calls or until mended."""
        for method in methods:
            self._wrap(method, self._raising(name, times))

    def _raising(self, name, times):
        left = [times]

        def act():
            if left[0] is None or left[0] > 0:
                left[0] = None if left[0] is None else left[0] - 1
                raise DiskError(name)

        return act

    def hang(self, method):
        """Let a method hang until mended; return an event that says it does."""
        hangs = threading.Event()
        self._gate.clear()

        def act():
            hangs.set()
            self._gate.wait(30)

        self._wrap(method, act)
        return hangs

    def watch(self, method):
        """Note calls of a method."""
        self._wrap(method, lambda: self.calls.append(method))

    def _wrap(self, method, act):
        real = getattr(self._store, method)
        self._spoilt.add(method)

        def wrapped(*args):
            act()
            return real(*args)

        setattr(self._store, method, wrapped)

    def mend(self):
        """Let every method work again."""
        for method in self._spoilt:
            delattr(self._store, method)
        self._spoilt.clear()
        self._gate.set()
