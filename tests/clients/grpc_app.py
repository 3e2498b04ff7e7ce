"""A gRPC app in clear text, without generated code: it echoes bytes and tells what it saw. Arguments: port, and for TLS
the files of a key and a certificate chain."""

import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def identity(context):
    seen = {key: value for key, value in context.invocation_metadata()}
    return seen.get("remote-user", ""), seen


def unary(request, context):
    user, seen = identity(context)
    leaked = [key for key in seen if key in ("cookie", "authorization") and "linkgate" in str(seen[key])]
    context.send_initial_metadata((("x-user", user), ("x-leaked", ",".join(leaked)), ("x-te", seen.get("te", ""))))
    context.set_trailing_metadata((("x-sum", str(len(request))), ("x-raw-bin", b"\x00\xff\x80")))
    return request


def fail(request, context):
    context.set_trailing_metadata((("x-why", "because"), ("grpc-status-details-bin", b"\x08\x05\xfe")))
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing there: ü % \u2713")


def stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number
    context.set_trailing_metadata((("x-sum", request.decode()),))


def broken(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "half way")


def collect(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def bidi(requests, context):
    for request in requests:
        yield b"echo " + request


def hang(request, context):
    """Answers nothing, or one message and then nothing, until the caller is gone."""
    gone = threading.Event()

    def ended():
        cancelled.release()
        gone.set()

    # Told here and not behind the wait: gRPC takes no further answer from a generator whose caller is gone already.
    if not context.add_callback(ended):
        ended()
    if request:
        yield request
    gone.wait(60)


def was_cancelled(request, context):
    return b"yes" if cancelled.acquire(timeout=20) else b"no"


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Stream": grpc.unary_stream_rpc_method_handler(stream),
    "Broken": grpc.unary_stream_rpc_method_handler(broken),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}

server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=60),
    options=[("grpc.max_receive_message_length", 1 << 26), ("grpc.max_send_message_length", 1 << 26)],
)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", METHODS),))
address = f"127.0.0.1:{sys.argv[1]}"
if len(sys.argv) > 2:
    key, chain = (open(path, "rb").read() for path in sys.argv[2:4])
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
else:
    server.add_insecure_port(address)
server.start()
print("ready", flush=True)
server.wait_for_termination()
