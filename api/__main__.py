"""The launcher behind the `fsbridge` command and ``python -m api``: patches first, then imports the program.

Nothing else in this project patches. gevent must replace sockets, threads and queues before any library has
taken the originals, so these lines come before every other import.
"""

from gevent import monkey

monkey.patch_all()


def entry() -> None:
    """Run the command line."""
    from api.cli import app

    app(prog_name="fsbridge")


if __name__ == "__main__":
    entry()
