"""Calls the app of grpc_app.py through a gateway with TLS, in every way that gRPC has; says `ok NAME` after each, and ends
badly at the first that is not as it would be without a gateway. Arguments: port, file of the authority's certificate,
authority (host:port), name and value of the metadata that signs in."""

import concurrent.futures
import sys
import time

import grpc

port, roots, authority, key, value = sys.argv[1:6]
AUTH = ((key, value),)
channel = grpc.secure_channel(
    f"127.0.0.1:{port}",
    grpc.ssl_channel_credentials(open(roots, "rb").read()),
    options=[
        ("grpc.ssl_target_name_override", authority.split(":")[0]),
        ("grpc.default_authority", authority),
        ("grpc.max_receive_message_length", 1 << 26),
        ("grpc.max_send_message_length", 1 << 26),
        ("grpc.enable_retries", 0),
    ],
)
unary = channel.unary_unary("/test.Echo/Unary")
fail = channel.unary_unary("/test.Echo/Fail")
stream = channel.unary_stream("/test.Echo/Stream")
broken = channel.unary_stream("/test.Echo/Broken")
collect = channel.stream_unary("/test.Echo/Collect")
bidi = channel.stream_stream("/test.Echo/Bidi")
hang = channel.unary_stream("/test.Echo/Hang")
was_cancelled = channel.unary_unary("/test.Echo/WasCancelled")
PATIENCE = 30


def same(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def refused(call, code, details=None):
    try:
        call()
    except grpc.RpcError as error:
        same(error.code(), code)
        if details is not None:
            same(error.details(), details)
        return error
    raise AssertionError(f"no {code}")


def done(name):
    print("ok", name, flush=True)


answer, call = unary.with_call(b"hello", metadata=AUTH, timeout=PATIENCE)
same(answer, b"hello")
initial = dict(call.initial_metadata())
same(initial["x-user"], "alice@example.com")
same(initial["x-leaked"], "")
trailing = dict(call.trailing_metadata())
same(trailing["x-sum"], "5")
same(trailing["x-raw-bin"], b"\x00\xff\x80")
same(call.code(), grpc.StatusCode.OK)
done("unary, with metadata before and behind")

same(unary(b"", metadata=AUTH, timeout=PATIENCE), b"")
big = bytes(range(256)) * 40_000
same(unary(big, metadata=AUTH, timeout=PATIENCE), big)
same(unary(big, metadata=AUTH, timeout=PATIENCE, compression=grpc.Compression.Gzip), big)
done("empty, large and packed messages")

error = refused(
    lambda: fail(b"", metadata=AUTH, timeout=PATIENCE), grpc.StatusCode.NOT_FOUND, "nothing there: ü % \u2713"
)
trailing = dict(error.trailing_metadata())
same(trailing["x-why"], "because")
same(trailing["grpc-status-details-bin"], b"\x08\x05\xfe")
done("a status with details")

call = stream(b"1000", metadata=AUTH, timeout=PATIENCE)
same(list(call), [b"%d" % number for number in range(1000)])
same(dict(call.trailing_metadata())["x-sum"], "1000")
same(list(stream(b"0", metadata=AUTH, timeout=PATIENCE)), [])
done("a stream of answers")

call = broken(b"", metadata=AUTH, timeout=PATIENCE)
same(next(call), b"one")
refused(lambda: next(call), grpc.StatusCode.DATA_LOSS, "half way")
done("a status after messages")

same(collect(iter([b"x" * 1000] * 500), metadata=AUTH, timeout=PATIENCE), b"500000")
done("a stream of requests")


class Ball:
    """The next request is made of the last answer: nobody may hold anything back."""

    def __init__(self):
        self.got = None
        self.count = 0
        self.event = concurrent.futures.Future()

    def __iter__(self):
        yield b"0"
        for number in range(1, 50):
            self.event.result(PATIENCE)
            self.event = concurrent.futures.Future()
            yield b"%d" % number


ball = Ball()
for answer in bidi(iter(ball), metadata=AUTH, timeout=PATIENCE):
    same(answer, b"echo %d" % ball.count)
    ball.count += 1
    ball.event.set_result(None)
same(ball.count, 50)
done("both ways, one after the other")

begun = time.monotonic()
refused(lambda: next(hang(b"", metadata=AUTH, timeout=0.5)), grpc.StatusCode.DEADLINE_EXCEEDED)
assert time.monotonic() - begun < 5
same(was_cancelled(b"", metadata=AUTH, timeout=PATIENCE), b"yes")
done("a deadline, and the app learns of it")

call = hang(b"first", metadata=AUTH, timeout=PATIENCE)
same(next(call), b"first")
call.cancel()
refused(lambda: next(call), grpc.StatusCode.CANCELLED)
same(was_cancelled(b"", metadata=AUTH, timeout=PATIENCE), b"yes")
done("a cancelled call, and the app learns of it")

futures = [unary.future(b"%d" % number, metadata=AUTH, timeout=PATIENCE) for number in range(300)]
same([future.result() for future in futures], [b"%d" % number for number in range(300)])
done("three hundred calls at once")

refused(lambda: unary(b"hello", timeout=PATIENCE), grpc.StatusCode.UNAUTHENTICATED)
refused(lambda: unary(b"hello", metadata=((key, value + "x"),), timeout=PATIENCE), grpc.StatusCode.UNAUTHENTICATED)
refused(lambda: list(stream(b"1", timeout=PATIENCE)), grpc.StatusCode.UNAUTHENTICATED)
done("nobody without a session")
