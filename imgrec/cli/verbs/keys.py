"""`imgrec keys`: who may use a server, and whether its record of them is whole."""

import argparse
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.cli.parser import Parser
from imgrec.errors import ConfigError

if TYPE_CHECKING:
    from imgrec.serve.access.keys import Key, Rate

__all__ = ["main", "make_parser"]

_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

_EPILOG = """\
examples:
  imgrec keys add --name clinic --scope predict
  imgrec keys add --name lab --scope predict,explain --models lung --expires 30d --rate 10/s --daily 1000
  imgrec keys list
  imgrec keys revoke 3f9a01bc
  imgrec keys verify-log audit.jsonl
"""


def main() -> None:
    """Read the command line and do what it says. Raises: ImgrecError."""
    arguments = make_parser().parse_args(sys.argv[1:])
    if arguments.action is None:
        raise ConfigError("Say what to do: imgrec keys add, list, revoke or verify-log.")
    if arguments.action == "verify-log":
        _verify_log(arguments)
        return
    from imgrec.serve.access.keys import default_keys_path

    path = arguments.keys or default_keys_path()
    {"add": _add, "list": _list, "revoke": _revoke}[arguments.action](arguments, path)


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec keys",
        description="Make, list and revoke the keys of a server; check its audit log.",
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    add = actions.add_parser("add", help="make a key and show it, this once")
    add.add_argument("--name", required=True, help="who it is for")
    add.add_argument(
        "--scope", required=True, metavar="SCOPES", help="of predict, explain, metrics, admin; with commas"
    )
    add.add_argument("--models", metavar="NAMES", help="that it may use (default: all)")
    add.add_argument("--expires", metavar="TIME", help="30d, 12h, or a date such as 2027-01-31 (UTC)")
    add.add_argument("--rate", metavar="N/UNIT", help="requests at most: 10/s, 100/min, 1000/h")
    add.add_argument("--daily", type=int, metavar="N", help="images a day (UTC) at most")
    add.add_argument("--output", metavar="KIND", help="how much of a prediction it sees: label, topk, rounded, full")
    revoke = actions.add_parser("revoke", help="make a key invalid from now on, also in a running server")
    revoke.add_argument("id", help="as imgrec keys list shows it")
    for action in (add, revoke, actions.add_parser("list", help="what there is")):
        action.add_argument("--keys", type=Path, metavar="FILE", help="where they are kept (default: this user's)")
    verify = actions.add_parser("verify-log", help="find a line of an audit log that was changed or removed")
    verify.add_argument("file", type=Path)
    verify.add_argument("--head", metavar="HASH", help="that the last line must have")
    return parser


def _add(arguments: argparse.Namespace, path: Path) -> None:
    from imgrec.serve.access.keys import add_key

    key, secret = add_key(
        path,
        name=arguments.name,
        scopes=[scope.strip() for scope in arguments.scope.split(",")],
        expires=None if arguments.expires is None else read_time(arguments.expires, now=time.time()),
        models=None if arguments.models is None else [name.strip() for name in arguments.models.split(",")],
        rate=None if arguments.rate is None else read_rate(arguments.rate),
        daily=arguments.daily,
        output=arguments.output,
    )
    sys.stderr.write(f"Key {key.id} for {key.name}, kept as a hash in {path}. It is shown this once:\n")
    sys.stdout.write(f"{secret}\n")


def _list(_: argparse.Namespace, path: Path) -> None:
    from imgrec.serve.access.keys import read_keys

    keys = read_keys(path)
    if not keys:
        sys.stdout.write(f"No keys in {path}. Make one: imgrec keys add --name NAME --scope predict\n")
        return
    head = ("id", "name", "scopes", "models", "rate", "daily", "output", "state")
    rows = [head, *(_row(key, now=time.time()) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def _revoke(arguments: argparse.Namespace, path: Path) -> None:
    from imgrec.serve.access.keys import revoke_key

    key = revoke_key(path, arguments.id)
    sys.stdout.write(f"Key {key.id} of {key.name} is revoked.\n")


def _verify_log(arguments: argparse.Namespace) -> None:
    from imgrec.serve.access.audit_log import verify_log

    head = verify_log(arguments.file, head=arguments.head)
    sys.stdout.write(f"{arguments.file}: {head.lines:,} lines, none changed or removed. Last hash: {head.hash}\n")


def _row(key: "Key", *, now: float) -> tuple[str, ...]:
    if key.revoked is not None:
        state = f"revoked {_date(key.revoked)}"
    elif key.expires is None:
        state = "valid"
    else:
        state = f"{'valid until' if now < key.expires else 'expired'} {_date(key.expires)}"
    rate = "-" if key.rate is None else f"{key.rate[0]}/{_unit(key.rate[1])}"
    models = "all" if key.models is None else ",".join(key.models)
    daily = "-" if key.daily is None else f"{key.daily}"
    return key.id, key.name, ",".join(key.scopes), models, rate, daily, key.output or "-", state


def _unit(seconds: float) -> str:
    return next((name for name, value in _SECONDS.items() if value == seconds), f"{seconds:g}s")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def read_rate(text: str) -> "Rate":
    """Return requests and seconds of `10/s`, `100/min`, `1000/h` or `5000/d`. Raises: ConfigError."""
    found = re.fullmatch(r"([1-9]\d{0,8})/(s|min|m|h|d)", text)
    if found is None:
        raise ConfigError(f"--rate {text!r}: requests in a unit of time, such as 10/s, 100/min or 1000/h.")
    return int(found[1]), float(_SECONDS[found[2]])


def read_time(text: str, *, now: float) -> float:
    """Return the seconds since 1970 of `30d`, `12h`, or a date (UTC). Raises: ConfigError: none of these, or past."""
    found = re.fullmatch(r"([1-9]\d{0,5})(s|min|m|h|d|w)", text)
    if found is not None:
        return now + int(found[1]) * _SECONDS[found[2]]
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(f"--expires {text!r}: 30d, 12h, or a date such as 2027-01-31.") from None
    if seconds <= now:
        raise ConfigError(f"--expires {text}: that has passed.")
    return seconds
