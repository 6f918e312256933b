"""tls-client: a session that is ended, which needs no network."""

import json

from tls_client import cffi

cffi.load_library()


def call() -> None:
    answer = json.loads(cffi.destroySession(json.dumps({"sessionId": "nobody's"}).encode()))
    cffi.freeMemory(answer["id"].encode())
    assert "success" in answer


own = call
