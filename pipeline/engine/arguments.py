"""Command lines: grouped help with readable defaults, and mistakes as errors with a cure. Standard library only."""

from __future__ import annotations

import argparse
import os

from kseg._suggestions import did_you_mean
from pipeline.engine.urls import is_url, redacted, refuse_url


class Parser(argparse.ArgumentParser):
    """A parser that raises where argparse would end the process, and that does not guess abbreviations.

    An option of one value is given once: otherwise the last one would win without a word.

    Args:
        prog: the command as the user types it.
        description: what the command does.
        usage: the command with its most important arguments; the default lists all.
        epilog: text after the arguments; lines stay as they are.
        beam: whether the arguments after a bare `--` are Beam's.
        urls: names of the arguments that may be places in object stores; others that look like one are refused.
    """

    def __init__(
        self,
        prog: str,
        description: str,
        *,
        usage: str | None = None,
        epilog: str = "",
        beam: bool = False,
        urls: tuple[str, ...] = (),
    ):
        super().__init__(
            prog=prog,
            description=description,
            usage=usage,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.register("action", None, _StoreOnce)
        self._beam, self._urls = beam, urls
        self._received = ""
        self.given = set()

    def parse(self, argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Parses the command line; returns the arguments and Beam's options.

        Raises:
            ValueError: an argument is unknown, missing, repeated or not allowed, or a place in an object store where none may
                be.
        """
        self.given = set()
        ours, beam_options = split_at_dashes(argv) if self._beam else (argv, [])
        self._received = redacted(" ".join(ours)) or "none"
        arguments, unknown = self.parse_known_args(self._fill_bare_flags(ours))
        if unknown:
            cure = did_you_mean(
                unknown[0].split("=")[0],
                self._option_string_actions,
                "Beam's own options go after a bare `--`." if self._beam else "See --help.",
            )
            raise ValueError(f"Unknown argument {redacted(unknown[0])!r}. Received: {self._received}.{cure}")
        self._refuse_urls(arguments)
        return arguments, beam_options

    def _refuse_urls(self, arguments: argparse.Namespace):
        """Refuses places in object stores where only those on this disk will do, before one is taken for a folder here."""
        for action in self._actions:
            value = getattr(arguments, action.dest, None)
            for place in value if isinstance(value, list) else [value]:
                if action.dest not in self._urls and isinstance(place, str | os.PathLike) and is_url(place):
                    refuse_url(place, action.option_strings[-1] if action.option_strings else action.dest)

    def _fill_bare_flags(self, argv: list[str]) -> list[str]:
        """Writes out the value of each flag that may stand alone, unless the next word is one: what follows may be a place."""
        filled = list(argv)
        for position, word in enumerate(argv):
            if word == "--":
                break
            action = self._option_string_actions.get(word)
            following = argv[position + 1].lower() if position + 1 < len(argv) else ""
            if action and action.nargs == "?" and following not in action.completions:
                filled[position] = f"{word}={action.const}"
        return filled

    def error(self, message: str):
        raise ValueError(f"Arguments must be as --help says. Received: {self._received} [{redacted(message)}].")


class _StoreOnce(argparse._StoreAction):
    """Stores the value of an argument, whose option must not be repeated."""

    def __call__(self, parser, namespace, values, option_string=None):
        if option_string and self in parser.given:
            raise argparse.ArgumentError(self, "may be given only once")
        parser.given.add(self)
        super().__call__(parser, namespace, values, option_string)


def split_at_dashes(argv: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before a bare `--`, and those after it."""
    return (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])


def add_option(group, flag: str, meaning: str, *, default=None, shown=None, values=(), **options):
    """Adds an option whose help ends with its values and its default.

    Args:
        group: argument group of a `Parser`.
        flag: "--epochs".
        meaning: help text.
        default: value of the option where it is left out.
        shown: text of the default in the help; None: `default` itself, if there is one.
        values: strings that help lists and shell completion offers; only `choices` in `options` refuses others. After a flag
            with `nargs="?"` no other word is taken for its value.
        **options: as of `add_argument`.
    """
    listed = values or options.get("choices", ())
    notes = [f"one of {', '.join(map(str, listed))}"] if listed else []
    shown = _text(default) if shown is None else shown
    notes += [f"default: {shown}"] if shown else []
    text = f"{meaning} ({'; '.join(notes)})" if notes else meaning
    if options.get("action") not in ("store_true", "count"):
        options.setdefault("metavar", flag[2:].upper().replace("-", "_"))
    action = group.add_argument(flag, default=default, help=text.replace("%", "%%"), **options)
    action.completions = tuple(map(str, listed))


def _text(value) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return "" if value is None or value is False else str(value)
