"""A small server in place of a real one: `standin.py PORT [MODE]`. It answers its environment as JSON.

Modes: `well`; `sick` answers 500; `dying` prints 30 lines and exits with code 7; `deaf` ignores SIGTERM;
`mother` has a child that sleeps; `elsewhere` listens on another port than it was told.
"""

import http.server
import json
import os
import signal
import subprocess
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(500 if mode == "sick" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


port, mode = int(sys.argv[1]), sys.argv[2]
sys.stderr.write(f"{mode} on {port}\n")
if mode == "dying":
    for number in range(30):
        sys.stderr.write(f"last words {number}\n")
    sys.exit(7)
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "mother":
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
http.server.HTTPServer(("127.0.0.1", 0 if mode == "elsewhere" else port), Handler).serve_forever()
