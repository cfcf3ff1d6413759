"""The web process: a gunicorn worker that runs waitress' event loop with llhttp as its parser.

It serves any WSGI application, and knows nothing of this one: see docs/decisions/http-server.md.
"""
