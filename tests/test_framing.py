"""Where a request ends, however it is cut into pieces on its way."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoapp.framing import BEYOND, MAX_BODY, MAX_CHUNK_SIZES, MAX_HEAD, Incoming

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"transfer-ENCODING:  Chunked \r\n\r\n"
WHOLE = [
    GET,
    b"\r\n" + GET,
    POST + b"Content-Length: 0\r\n\r\n",
    POST + b"CONTENT-length:3 \r\n\r\nabc",
    POST + b"Content-Length: 4\r\n\r\n\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"a;name=value\r\n0123456789\r\n2 \r\n\r\n\r\n0\r\nX: y\r\n\r\n",
]
UNCLEAR = [
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: 0x3\r\n\r\n",
    POST + b"Content-Length: 1, 2\r\n\r\n",
    POST + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1),
    POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n",
    CHUNKED + b"fffffff\r\n" + b"x" * (MAX_BODY + BEYOND + 100),
    CHUNKED + b"1\r\na\r\n" * ((MAX_BODY + BEYOND + MAX_CHUNK_SIZES) // 6 + 1),
]


def bytes_until_ready(incoming: Incoming, data: bytes) -> int | None:
    """Add bytes one by one, and return after how many the request was there."""
    for size in range(1, len(data) + 1):
        incoming.add(data[size - 1 : size])
        if incoming.is_there:
            return size
    return None


@pytest.mark.parametrize("request_", WHOLE)
@pytest.mark.parametrize("rest", [b"", GET])
def test_a_request_is_there_with_its_last_byte_and_not_before(request_: bytes, rest: bytes) -> None:
    incoming = Incoming()

    assert bytes_until_ready(incoming, request_ + rest) == len(request_)
    assert not incoming.is_last


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 80)))
def test_it_does_not_matter_how_a_request_is_cut(request_: bytes, cuts: list[int]) -> None:
    incoming = Incoming()
    places = sorted({0, len(request_), *(cut for cut in cuts if cut < len(request_))})
    pieces = [request_[start:end] for start, end in itertools.pairwise(places)]

    for piece in pieces:
        assert not incoming.is_there
        incoming.add(piece)

    assert incoming.is_there
    assert incoming.data == request_


@pytest.mark.parametrize("size", [MAX_BODY - 1, MAX_BODY, MAX_BODY + 1, MAX_BODY + 100])
def test_a_body_about_as_long_as_it_may_be_is_waited_for_to_its_end(size: int) -> None:
    request = CHUNKED + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
    incoming = Incoming()

    incoming.add(request[:-20])

    assert bytes_until_ready(incoming, request[-20:] + GET) == 20
    assert not incoming.is_last


@pytest.mark.parametrize("request_", UNCLEAR)
def test_what_has_no_end_or_is_too_long_is_not_waited_for(request_: bytes) -> None:
    incoming = Incoming()

    incoming.add(request_)

    assert incoming.is_there
    assert incoming.is_last


@pytest.mark.parametrize("chunks", [b"-1\r\n", b"3\r\nabc\r\nx\r\n", b"3\r\nabcd\r\n0\r\n\r\n"])
def test_chunks_that_are_none_are_noticed(chunks: bytes) -> None:
    incoming = Incoming()

    incoming.add(CHUNKED + chunks)

    assert incoming.is_broken


@pytest.mark.parametrize(("size", "too_long"), [(MAX_HEAD, False), (MAX_HEAD + 1, True)])
def test_a_head_without_end_is_too_long_at_some_point(size: int, too_long: bool) -> None:
    incoming = Incoming()

    incoming.add(b"x" * size)

    assert incoming.head_is_too_long is too_long


@pytest.mark.parametrize(
    ("head", "expects"),
    [
        (POST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n", True),
        (POST + b"Content-Length: 3\r\n\r\n", False),
    ],
)
def test_a_client_may_wait_to_be_told_to_go_on(head: bytes, expects: bool) -> None:
    incoming = Incoming()

    incoming.add(head)

    assert incoming.expects_continue is expects


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding", b"Expect"])
@pytest.mark.parametrize("blank", [b" ", b"\t", b" \t"])
@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"\r"), (b"", b"b"), (b"a", b"b"), (b"a", b"\r")]
)
def test_a_long_run_of_blanks_costs_no_more_than_other_bytes(
    name: bytes, blank: bytes, before: bytes, after: bytes
) -> None:
    field = name + b":" + before + blank * (15_000 // len(blank)) + after + b"\r\n"
    incoming = Incoming()
    began = time.process_time()

    incoming.add(b"GET / HTTP/1.1\r\nHost: x\r\n" + field * 2 + b"\r\n")

    # A regular expression that backtracks takes from one second to hours.
    assert time.process_time() - began < 0.05
