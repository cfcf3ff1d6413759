"""Our application with one more path, which says how the service sees its client."""

from flask import Response, jsonify, request

from wsgi import app

print("The application is loaded.", flush=True)


@app.get("/echo")
def echo() -> Response:
    # On a socket for IPv6 and IPv4, an IPv4 address looks like ::ffff:127.0.0.1 (RFC 4291).
    address = str(request.remote_addr).removeprefix("::ffff:")
    return jsonify(address=address, scheme=request.scheme, host=request.host)
