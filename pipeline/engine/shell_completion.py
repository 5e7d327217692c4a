"""Shell completion, generated from the parsers of the commands. Standard library only."""

from __future__ import annotations

import argparse
import shlex
import typing


class Option(typing.NamedTuple):
    """An option of a command, as completion needs it."""

    flag: str
    values: tuple[str, ...]  # to offer; empty: files
    takes_value: bool
    repeats: bool  # whether several values may follow
    meaning: str


def script(shell: str, program: str, commands: dict[str, tuple[str, argparse.ArgumentParser | None]]) -> str:
    """The completion script for a shell.

    Args:
        shell: one of "bash", "zsh", "fish".
        program: that is completed, whose first argument is one of `commands`.
        commands: what each command does, and its parser, or None where it has no options.
    """
    described = {name: (meaning, options(parser) if parser else []) for name, (meaning, parser) in commands.items()}
    taking_files = {name for name, (_, parser) in commands.items() if parser and _takes_files(parser)}
    return SHELLS[shell](program, described, taking_files)


def _takes_files(parser: argparse.ArgumentParser) -> bool:
    """Whether a command has arguments that are no options; all of them are places."""
    return any(not action.option_strings for action in parser._actions)


def options(parser: argparse.ArgumentParser) -> list[Option]:
    """The options of a parser, in their order; values are its choices, or the attribute `completions` of an action."""
    return [
        Option(
            flag=action.option_strings[-1],
            values=tuple(map(str, getattr(action, "completions", ()) or action.choices or ())),
            takes_value=action.nargs != 0,
            repeats=action.nargs == "+",
            meaning=(action.help or "").replace("%%", "%"),
        )
        for action in parser._actions
        if action.option_strings
    ]


def _bash(program: str, commands: dict[str, tuple[str, list[Option]]], taking_files: set[str]) -> str:
    values, flags = [], []
    for name, (_, listed) in commands.items():
        for option in listed:
            if option.takes_value:
                words = f"compgen -W {shlex.quote(' '.join(option.values))}" if option.values else "compgen -f"
                distance = "*" if option.repeats else "1"
                values.append(f'        "{name} {option.flag} "{distance}) COMPREPLY=($({words} -- "$current")) ;;')
        flags.append(
            f'        {name}) COMPREPLY=($(compgen -W {shlex.quote(" ".join(o.flag for o in listed))} -- "$current")) ;;'
        )
    patterns = " | ".join(f'"{name} "[!-]* | "{name} "' for name in sorted(taking_files))
    places = [f'    case "$command $current" in {patterns}) return ;; esac  # -o default completes files']
    return "\n".join(
        [
            f"# bash completion of {program}: source <({program} completion bash)",
            f"_{program}() {{",
            '    local current="${COMP_WORDS[COMP_CWORD]}" command="${COMP_WORDS[1]}" option="" n',
            "    COMPREPLY=()",
            '    if [ "$COMP_CWORD" -eq 1 ]; then',
            f'        COMPREPLY=($(compgen -W {shlex.quote(" ".join(commands))} -- "$current"))',
            "        return",
            "    fi",
            "    for ((n = COMP_CWORD - 1; n > 1; n--)); do  # the option before the cursor",
            '        case "${COMP_WORDS[n]}" in -*) option="${COMP_WORDS[n]}"; break ;; esac',
            "    done",
            '    case "$current" in -*) option="" ;; esac',
            '    case "$command $option $((COMP_CWORD - n))" in',
            *values,
            "    esac",
            '    if [ "${#COMPREPLY[@]}" -eq 1 ]; then',
            '        case "${COMPREPLY[0]}" in *=) compopt -o nospace 2> /dev/null ;; esac',
            "    fi",
            '    [ "${#COMPREPLY[@]}" -eq 0 ] || return 0',
            *(places if taking_files else []),
            '    case "$command" in',
            *flags,
            "    esac",
            "}",
            f"complete -o default -F _{program} {program}",
            "",
        ]
    )


def _zsh(program: str, commands, taking_files) -> str:
    return "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + _bash(
        program, commands, taking_files
    )


def _fish(program: str, commands: dict[str, tuple[str, list[Option]]], _) -> str:
    rows = [f"# fish completion of {program}: {program} completion fish | source"]
    for name, (meaning, listed) in commands.items():
        rows.append(f"complete -c {program} -f -n __fish_use_subcommand -a {name} -d {_fish_quote(meaning)}")
        for option in listed:
            value = f" -x -a {_fish_quote(' '.join(option.values))}" if option.values else " -r"
            rows.append(
                f"complete -c {program} -n '__fish_seen_subcommand_from {name}' -l {option.flag.lstrip('-')}"
                f"{value if option.takes_value else ''} -d {_fish_quote(option.meaning)}"
            )
    return "\n".join([*rows, ""])


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
