"""`feishu-ws completion SHELL`: a completion script, made from the parser itself."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from feishu_ws.cli.parser import PROGRAM, build_parser

TAKES_FILE: Final = frozenset({"--config", "--socket", "--scenario"})


@dataclass(frozen=True, slots=True)
class Option:
    """An option or positional: its spellings, what it is for, what may follow."""

    names: tuple[str, ...]
    summary: str
    takes_value: bool
    choices: tuple[str, ...] = ()


Grammar = dict[str, tuple[str, list[Option]]]
"""By command: what it is for and its options; "" is the program itself."""


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]
    print(script(grammar()))
    return 0


def grammar() -> Grammar:
    """Return what the parser accepts."""
    parser = build_parser()
    found: Grammar = {"": (parser.description or "", list(_options(parser)))}
    for action in parser._actions:  # noqa: SLF001  # argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, sub in action.choices.items():
                found[name] = (sub.description or "", list(_options(sub)))
    return found


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            continue
        choices = tuple(map(str, action.choices or ()))
        takes_value = action.nargs != 0
        yield Option(tuple(action.option_strings), action.help or "", takes_value, choices)


def _words(options: list[Option]) -> list[str]:
    return [word for option in options for word in (option.names or option.choices)]


def _commands(found: Grammar) -> dict[str, str]:
    return {name: summary for name, (summary, _) in found.items() if name}


# -- shells ---------------------------------------------------------------------------------


def _bash(found: Grammar) -> str:
    cases = "\n".join(
        f'    {name}) words="{" ".join(_words(options))}" ;;'
        for name, (_, options) in found.items()
        if name
    )
    top = " ".join([*_commands(found), *_words(found[""][1])])
    return f"""\
# bash completion for {PROGRAM}: eval "$({PROGRAM} completion bash)"
_feishu_ws() {{
  local word words command current="${{COMP_WORDS[COMP_CWORD]}}"
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
    {"|".join(sorted(TAKES_FILE))}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in {"|".join(_commands(found))}) command="$word"; break ;; esac
  done
  case "$command" in
{cases}
    *) words="{top}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _feishu_ws {PROGRAM}"""


def _zsh(found: Grammar) -> str:
    described = "\n".join(
        f"    {_quoted(f'{name}:{summary}')}" for name, summary in _commands(found).items()
    )
    cases = "\n".join(
        f"    {name}) compadd -- {' '.join(_words(options))} ;;"
        for name, (_, options) in found.items()
        if name
    )
    return f"""\
#compdef {PROGRAM}
# zsh completion for {PROGRAM}: {PROGRAM} completion zsh > "${{fpath[1]}}/_feishu-ws"
_feishu_ws() {{
  local word command
  local -a commands
  commands=(
{described}
  )
  case "${{words[CURRENT-1]}}" in
    {"|".join(sorted(TAKES_FILE))}) _files; return ;;
  esac
  for word in "${{words[@]:1:CURRENT-2}}"; do
    case "$word" in {"|".join(_commands(found))}) command="$word"; break ;; esac
  done
  case "$command" in
{cases}
    *) _describe command commands; compadd -- {" ".join(_words(found[""][1]))} ;;
  esac
}}
if [ "${{funcstack[1]}}" = "_feishu_ws" ]; then _feishu_ws "$@"; else compdef _feishu_ws {PROGRAM}; fi"""


def _fish(found: Grammar) -> str:
    lines = [f"# fish completion for {PROGRAM}: {PROGRAM} completion fish | source"]
    for name, (summary, options) in found.items():
        lines += [_fish_line("__fish_use_subcommand", f"-f -a {name}", summary)] if name else []
        where = f"__fish_seen_subcommand_from {name}" if name else "__fish_use_subcommand"
        for option in options:
            lines.append(_fish_line(where, _fish_option(option), option.summary))
    return "\n".join(lines)


def _fish_line(where: str, what: str, summary: str) -> str:
    return f"complete -c {PROGRAM} -n {_quoted(where)} {what} -d {_quoted(summary)}"


def _fish_option(option: Option) -> str:
    if not option.names:
        return f"-f -a {_quoted(' '.join(option.choices))}"
    parts = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    if option.takes_value:
        parts.append("-r" if TAKES_FILE & set(option.names) else "-x")
    else:
        parts.append("-f")
    return " ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"
