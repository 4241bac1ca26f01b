"""`driftd` for shell scripts of tests: `program_client.py SOCKET ARGUMENT ...`.

A run by the server of `program.py`, with this process's folder, environment and output.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as line:
    line.settimeout(300)
    line.connect(sys.argv[1])
    request = {
        "arguments": sys.argv[2:],
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    body = json.dumps(request).encode()
    socket.send_fds(line, [len(body).to_bytes(8, "big")], [1, 2])
    line.sendall(body)
    answer = line.recv(64)
sys.exit(int(answer) if answer else 1)
