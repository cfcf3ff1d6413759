"""What a process and its descendants use: CPU time and memory."""

from contextlib import suppress

import psutil


def tree(root: int) -> list[psutil.Process]:
    """Return the process `root` and its descendants."""
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def cpu_seconds(root: int) -> float:
    """Return the CPU time that the process `root` and its descendants have used since they began.

    That is what the living have used, and what those have used that were waited for: a process
    that ends goes from the one sum to the other. Where one does so between two readings, it
    might be counted twice or not at all, so everything is read again.
    """
    while True:
        processes = tree(root)
        with suppress(psutil.NoSuchProcess):
            # user, system, children_user, children_system; not iowait, which is no CPU time.
            seconds = sum(sum(process.cpu_times()[:4]) for process in processes)
            if tree(root) == processes:
                return seconds


def memory(root: int) -> int:
    """Return the memory of the process `root` and its descendants in bytes.

    It is the proportional set size: memory that several share is counted once.
    """
    total = 0
    for process in tree(root):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def stop(root: int, seconds: float = 30) -> None:
    """Ask the process `root` to end, and kill what is left of its descendants after `seconds`."""
    with suppress(psutil.NoSuchProcess):
        processes = tree(root)
        processes[0].terminate()
        _, left = psutil.wait_procs(processes, timeout=seconds)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left)
