"""Opens listening sockets in many processes, says `ready`, and waits for its end.

    ports-load.py SOCKETS PROCESSES

Each process has its share of SOCKETS on ports that the kernel chooses, on addresses of
127.0.0.0/8. All of them end when standard input is closed, or with this process.
"""

import ctypes
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    sockets, processes = int(sys.argv[1]), int(sys.argv[2])
    done = os.pipe()
    prctl = ctypes.CDLL(None).prctl
    for number in range(processes):
        share = sockets // processes + (number < sockets % processes)
        if os.fork() == 0:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(done[0])
            keep = []
            for at in range(share):
                listener = socket.socket()
                listener.bind((f"127.0.{1 + number % 250}.{1 + at % 250}", 0))
                listener.listen()
                keep.append(listener)
            os.write(done[1], b".")
            os.close(done[1])
            signal.pause()
            os._exit(0)
    os.close(done[1])
    ready = 0
    while got := os.read(done[0], 4096):
        ready += len(got)
    if ready != processes:
        sys.exit(f"only {ready} of {processes} processes opened their sockets")
    print("ready", flush=True)
    sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)


os.setpgid(0, 0)
main()
