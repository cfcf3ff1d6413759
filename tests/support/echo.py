"""The application with two more routes: echo the client's address, and raise an error."""

from typing import NoReturn

from flask import Response, jsonify, request

from wsgi import app

print("The application is loaded.", flush=True)


@app.get("/echo")
def echo() -> Response:
    # A dual-stack socket reports IPv4-mapped addresses such as ::ffff:127.0.0.1 (RFC 4291).
    address = str(request.remote_addr).removeprefix("::ffff:")
    return jsonify(address=address, scheme=request.scheme, host=request.host)


@app.get("/fail/<rest>")
def fail(rest: str) -> NoReturn:
    raise ZeroDivisionError("deliberate error")
