#!/usr/bin/env python3
"""Listens where services of the stack would, and keeps all that is sent: squatter.py FILE PORT…

Whoever speaks PostgreSQL is asked for the password as it is; every other question is answered
with 200, so that a client goes on and says more.
"""
import selectors
import socket
import sys

ASK_CLEARTEXT = b"R\0\0\0\x08\0\0\0\x03"  # AuthenticationCleartextPassword
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

kept = open(sys.argv[1], "ab", buffering=0)
selector = selectors.DefaultSelector()
for port in sys.argv[2:]:
    server = socket.create_server(("127.0.0.1", int(port)))
    selector.register(server, selectors.EVENT_READ, None)
while True:
    for key, _ in selector.select():
        if key.data is None:
            client, _ = key.fileobj.accept()
            selector.register(client, selectors.EVENT_READ, key.fileobj.getsockname()[1])
            continue
        client = key.fileobj
        try:
            data = client.recv(65536)
            if not data:
                raise ConnectionError
            kept.write(b"%d: " % key.data + data + b"\n")
            if data == SSL_REQUEST:
                client.sendall(b"N")
            elif data[4:8] == b"\0\x03\0\0":
                client.sendall(ASK_CLEARTEXT)
            elif data[:1] == b"*":
                client.sendall(b"+OK\r\n")
            else:
                client.sendall(ANSWER)
        except OSError:
            selector.unregister(client)
            client.close()
