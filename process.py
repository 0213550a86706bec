"""How the process of a command behaves: it ends with the process that started it, and its threads do not slow down others.

Both packages use it. It can change no result, so no stage depends on it.
"""

import os
import signal
import threading

WORKER = "LDDU_WORKER"  # environment variable of the worker processes that a stage starts
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


def is_worker() -> bool:
    """Whether a stage started this process for its work, so that it may set limits which hold for a whole process.

    Any other process may be the program of somebody who uses the Python API.
    """
    return WORKER in os.environ


def configure_libraries() -> None:
    """Set what native libraries read from the environment when they are loaded; must be called before torch is imported.

    OpenMP's threads sleep while they wait for each other: threads that wait in a busy loop make training and tuning six times
    slower while any other program is busy. cuBLAS gets a workspace of fixed size, without which its sums do not repeat.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
