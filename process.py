"""How the process of a command behaves: it ends with the process that started it, and its threads do not slow down others.

Both packages use it. It can change no result, so no stage depends on it.
"""

import os
import signal
import threading

WATCH = 0.5  # seconds between two checks whether the parent is still there


def end_with_parent() -> None:
    """Make SIGTERM end this process as Ctrl-C does, and send it when the process that started this one is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(WATCH)
        os.kill(os.getpid(), signal.SIGTERM)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    threading.Thread(target=watch, daemon=True).start()


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait for each other; must be called before torch is imported.

    Threads that wait in a busy loop make training six times slower while any other program is busy.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
