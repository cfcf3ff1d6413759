"""CPU time and memory of a process and its descendants."""

from contextlib import suppress

import psutil


def tree(root: int) -> list[psutil.Process]:
    """Return the process `root` and its descendants."""
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def cpu_seconds(root: int) -> float:
    """Return the total CPU time of the process `root` and its descendants, dead ones included.

    The time of an ended process is added to its parent's once the parent has waited for it. A
    process that ends during the reading could be counted twice or not at all, so the reading is
    then repeated.
    """
    while True:
        processes = tree(root)
        with suppress(psutil.NoSuchProcess):
            # user, system, children_user and children_system, but not iowait, which is idle time.
            seconds = sum(sum(process.cpu_times()[:4]) for process in processes)
            if tree(root) == processes:
                return seconds


def memory(root: int) -> int:
    """Return the memory of the process `root` and its descendants in bytes.

    This is the proportional set size (PSS), which counts shared memory once.
    """
    total = 0
    for process in tree(root):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def stop(root: int, seconds: float = 30) -> None:
    """Terminate the process `root`, and kill the processes that are left after `seconds`."""
    with suppress(psutil.NoSuchProcess):
        processes = tree(root)
        processes[0].terminate()
        _, left = psutil.wait_procs(processes, timeout=seconds)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left)
