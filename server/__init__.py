"""gunicorn worker that combines waitress' event loop with llhttp, the HTTP parser of Node.js.

Serves any WSGI application; imports nothing from todoapp. See docs/decisions/http-server.md.
"""
