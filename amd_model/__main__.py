"""``python -m amd_model serve | classify FILE… | evaluate CASES.tsv … | words …``.

``serve`` is a gevent program, so it patches before anything else is imported; the others are plain ones.
This is the only place of the package that patches, sets torch's threads, or touches signals and logging.
"""

from __future__ import annotations

import os
import sys

# One core a process: numpy's library reads it when it is loaded, and would take every core there is.
os.putenv("OPENBLAS_NUM_THREADS", "1")

if len(sys.argv) > 1 and sys.argv[1] == "serve" and __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import argparse
import contextlib
import ctypes
import gc
import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import structlog
import torch

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # mallopt(3)
_KEEP_BYTES = 64 << 20

LOG_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else ""
    if command == "serve":
        return _serve(_serve_arguments().parse_args(arguments[1:]))
    _use_one_thread()
    if command == "classify":
        from amd_model.evaluation import classify

        return classify.run(arguments[1:])
    if command == "evaluate":
        from amd_model.evaluation import evaluate

        return evaluate.run(arguments[1:])
    if command == "words":
        from amd_model.words import command as words

        return words.run(arguments[1:])
    print(__doc__ or "", file=sys.stdout if command in ("-h", "--help") else sys.stderr)
    return 0 if command in ("-h", "--help") else 2


def _serve_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m amd_model serve", description="Serve the detector to FreeSWITCH's taps")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_in_range(0, 65_535), default=9201, help="0 takes a free one")
    parser.add_argument("--capacity", type=_in_range(1, 20_000), default=1_500, help="streams under analysis at once")
    parser.add_argument("--weights", type=Path, help="another model than the shipped one")
    parser.add_argument("--shadow", type=Path, help="a second model to run beside it; disagreements are logged")
    parser.add_argument("--drain-s", type=float, default=35.0, help="time to finish streams after SIGTERM")
    parser.add_argument("--keep-dir", type=Path, help="where recordings go that calls ask for; none are made without")
    parser.add_argument(
        "--words", default="off", help="a recogniser that reads what is said: its name, its folder, auto or off"
    )
    parser.add_argument("--words-language", action="append", default=[], help="languages to think of (default: any)")
    parser.add_argument("--words-budget", type=float, default=0.5, help="the share of one core that it may take")
    parser.add_argument(
        "--handshakes-per-address",
        type=_in_range(1, 1_024),
        default=512,
        help="connections of one address that are no streams yet (default %(default)s of 1024 in all)",
    )
    parser.add_argument("--log-json", action="store_true", help="log JSON lines instead of key=value")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="what is worth a line")
    parser.add_argument("--supervised", action="store_true", help="drain when standard input ends: the parent is gone")
    return parser


def _in_range(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not from {low} to {high}")
        return value

    return number


def _serve(options: argparse.Namespace) -> int:
    import gevent
    from gevent import monkey

    if not monkey.is_module_patched("socket"):
        raise RuntimeError("serve needs gevent's patch before every import: run it as python -m amd_model serve")
    from amd_model.detector import checkpoint
    from amd_model.words.catalogue import UnknownModel
    from amd_model.words.install import InstallError
    from amd_model.worker.server import AmdServer, ServeSettings

    _log_to_stderr(options.log_json, LOG_LEVELS[options.log_level])
    _use_one_thread()
    _keep_freed_memory()
    try:
        settings = ServeSettings(
            host=options.host,
            port=options.port,
            capacity=options.capacity,
            drain_s=options.drain_s,
            keep_dir=options.keep_dir,
            handshakes_per_address=options.handshakes_per_address,
            words=_words(options.words),
            words_languages=tuple(options.words_language),
            words_budget=options.words_budget,
        )
        model = checkpoint.load(options.weights)
        load_shadow = None if options.shadow is None else partial(checkpoint.load, options.shadow)
        shadow = None if load_shadow is None else load_shadow()
        load = partial(checkpoint.load, options.weights)
        server = AmdServer(model, settings, load, shadow=shadow, load_shadow=load_shadow)
        server.start()
    except (checkpoint.CheckpointError, InstallError, UnknownModel, OSError) as error:
        print(f"amd worker not started: {error}", file=sys.stderr)
        return 1
    gevent.signal_handler(signal.SIGTERM, server.drain)
    gevent.signal_handler(signal.SIGINT, server.interrupt)
    gevent.signal_handler(signal.SIGHUP, server.reload)
    if options.supervised:
        server.drain_at_end_of(sys.stdin.fileno())
    gc.collect()
    gc.freeze()  # the modules' objects are for ever: no collection needs to walk them again
    print(f"amd worker ready on {server.url} model={server.model_version} capacity={server.capacity}", flush=True)
    server.run()
    return 0


def _words(wanted: str) -> Path | None:
    """The recogniser's folder: by name or folder, or with ``auto`` the first one that can be used, if any."""
    from amd_model.words.choice import chosen

    folder, why = chosen(wanted)
    if folder is None and wanted != "off":
        structlog.get_logger(__name__).info("amd_words_off", why=why)
    return folder


def _use_one_thread() -> None:
    """One core a process: torch's own threads only get in each other's way (and in other workers')."""
    torch.set_num_threads(1)
    # Refused once torch has worked in parallel, which in a process of our own it has not.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)


def _keep_freed_memory() -> None:
    """Let malloc keep what a batch frees; else each batch maps and faults in its buffers anew (1.5 times slower)."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _KEEP_BYTES // 2)
        libc.mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
    except (OSError, AttributeError):  # not glibc: slower, nothing else
        return


def _log_to_stderr(as_json: bool, level: int) -> None:
    """Standard output is for the ready line."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.processors.LogfmtRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
