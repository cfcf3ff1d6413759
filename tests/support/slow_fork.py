"""gunicorn.conf.py with workers that are slow to start."""

import runpy
import time
from pathlib import Path

base_config = runpy.run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py"))
globals().update(base_config)


def post_fork(server: object, worker: object) -> None:
    """Run the configured hook, then sleep."""
    base_config["post_fork"](server, worker)
    print("forked", flush=True)
    time.sleep(1)
