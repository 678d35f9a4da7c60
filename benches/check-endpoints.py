#!/usr/bin/env python3
"""Twelve HTTP endpoints on loopback for benches/check.sh.

Prints a stack.json that declares them to the file named first, then serves until
it is killed. Endpoint N answers after N/12 of the second argument, in
milliseconds; so the last one is the slowest.
"""

import json
import socket
import sys
import threading
import time

COUNT = 12
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def serve(listener, delay):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, delay), daemon=True).start()


def answer(connection, delay):
    start = time.monotonic()
    with connection:
        connection.recv(4096)
        time.sleep(max(0, delay - (time.monotonic() - start)))
        connection.sendall(ANSWER)


def service(name, port):
    return {
        "description": name,
        "option": f"services.aiStack.{name}",
        "unit": f"local-ai-{name}.service",
        "pullUnit": f"local-ai-{name}-image.service",
        "container": f"local-ai-{name}",
        "configHash": name,
        "image": {
            "reference": f"registry.example/{name}:1",
            "name": f"registry.example/{name}",
            "tag": "1",
            "digest": None,
            "archive": None,
        },
        "ports": [
            {
                "name": "http",
                "protocol": "tcp",
                "address": "127.0.0.1",
                "host": port,
                "container": 80,
                "option": f"services.aiStack.{name}.ports.http",
            }
        ],
        "health": {"http": {"url": f"http://127.0.0.1:{port}/health"}},
        "data": [],
        "secrets": [],
        "files": [],
        "setup": [],
        "needs": [],
        "wants": [],
        "gpu": None,
        "metrics": None,
    }


def main():
    path, slowest = sys.argv[1], int(sys.argv[2]) / 1000
    services = {}
    for at in range(1, COUNT + 1):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        delay = slowest * at / COUNT
        threading.Thread(target=serve, args=(listener, delay), daemon=True).start()
        name = f"endpoint-{at}"
        services[name] = service(name, listener.getsockname()[1])
    stack = {
        "schema": 1,
        "host": "bench",
        "scope": "system",
        "user": None,
        "dataRoot": "/",
        "target": "local-ai.target",
        "network": "local-ai",
        "services": services,
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(stack, file)
    print("ready", flush=True)
    threading.Event().wait()


main()
