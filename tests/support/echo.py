"""Our application with two more paths: how the service sees its client, and a fault of ours."""

from typing import NoReturn

from flask import Response, jsonify, request

from wsgi import app

print("The application is loaded.", flush=True)


@app.get("/echo")
def echo() -> Response:
    # On a socket for IPv6 and IPv4, an IPv4 address looks like ::ffff:127.0.0.1 (RFC 4291).
    address = str(request.remote_addr).removeprefix("::ffff:")
    return jsonify(address=address, scheme=request.scheme, host=request.host)


@app.get("/fail/<rest>")
def fail(rest: str) -> NoReturn:
    raise ZeroDivisionError("a fault of ours")
