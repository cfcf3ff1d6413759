"""The WSGI applications of apps.py, with thread switches so frequent that races become likely."""

import sys

from tests.support.apps import app

__all__ = ["app"]

sys.setswitchinterval(1e-6)
