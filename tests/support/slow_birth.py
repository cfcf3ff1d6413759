"""The web process's settings, with workers that take a moment to be born."""

import runpy
import time
from pathlib import Path

as_it_is = runpy.run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py"))
globals().update(as_it_is)


def post_fork(server: object, worker: object) -> None:
    """Do what the settings say, and take a moment."""
    as_it_is["post_fork"](server, worker)
    print("forked", flush=True)
    time.sleep(1)
