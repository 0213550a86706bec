"""How the process of a command behaves: it gives way to other programs, and ends with the one that started it.

Both packages use it, and it can change no result, so no stage depends on it.
"""

import os
import signal
import threading

WATCH = 0.5  # seconds between two looks at whether the parent is still there


def end_with_parent() -> None:
    """Have SIGTERM end this process as SIGINT does, and have it sent when the process that started this one is gone."""
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
    """Have OpenMP's threads give way while they wait for each other; to be called before torch is imported.

    Threads that spin make training six times slower beside any other busy program.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
