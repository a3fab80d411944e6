"""`feishu-ws completion SHELL`: a completion script, made from the parser itself."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from feishu_ws.cli.parser import PROGRAM, build_parser
from feishu_ws.cli.scenarios import LIST, SCENARIOS

TAKES_FILE: Final = frozenset({"--config", "--socket", "--scenario"})
SUGGESTED: Final = {"--scenario": (*SCENARIOS, LIST), "--from": ("earliest", "latest")}
"""Words worth offering where others may stand as well."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option or positional: its spellings, what it is for, what may follow."""

    names: tuple[str, ...]
    summary: str
    takes_value: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """What may follow a command: its options, and its actions by name."""

    summary: str
    options: list[Option]
    actions: Mapping[str, str]


Grammar = dict[str, Words]
"""By the words that name a command, such as "dead list"; "" is the program itself."""


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]
    print(script(grammar()))
    return 0


def grammar() -> Grammar:
    """Return what the parser accepts."""
    return dict(_walk("", "", build_parser()))


def _walk(path: str, summary: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, Words]]:
    """Yield a command and, after it, what is below it."""
    # argparse has no other way to ask
    branches = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001
    names: dict[str, str] = {}
    for branch in branches:
        names |= {choice.dest: choice.help or "" for choice in branch._choices_actions}  # noqa: SLF001
    yield path, Words(summary, list(_options(parser)), names)
    for branch in branches:
        for name, sub in branch.choices.items():
            yield from _walk(f"{path} {name}".strip(), names[name], sub)


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            continue
        choices = tuple(map(str, action.choices or ()))
        takes_value = action.nargs != 0
        yield Option(tuple(action.option_strings), action.help or "", takes_value, choices)


def _offered(words: Words) -> list[str]:
    """Return every word that may come next."""
    options = [word for option in words.options for word in (option.names or option.choices)]
    return [*words.actions, *options]


# -- shells ---------------------------------------------------------------------------------


def _paths(found: Grammar) -> str:
    """Return a shell pattern for `$command $word` where the word names a command or action."""
    return "|".join(f'"{path}"' if " " in path else f'" {path}"' for path in found if path)


def _bash(found: Grammar) -> str:
    cases = "\n".join(
        f'    "{path}") words="{" ".join(_offered(words))}" ;;' for path, words in found.items()
    )
    suggested = "\n".join(
        f"    {name}) COMPREPLY=($(compgen {'-f ' if name in TAKES_FILE else ''}"
        f'-W "{" ".join(words)}" -- "$current")); return ;;'
        for name, words in SUGGESTED.items()
    )
    return f"""\
# bash completion for {PROGRAM}: eval "$({PROGRAM} completion bash)"
_feishu_ws() {{
  local word words command="" current="${{COMP_WORDS[COMP_CWORD]}}"
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{suggested}
    {"|".join(sorted(TAKES_FILE - SUGGESTED.keys()))}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$command $word" in {_paths(found)}) command="${{command:+$command }}$word" ;; esac
  done
  case "$command" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _feishu_ws {PROGRAM}"""


def _zsh(found: Grammar) -> str:
    cases = "\n".join(_zsh_case(path, words) for path, words in found.items())
    suggested = "\n".join(
        f"    {name}) compadd -- {' '.join(words)}{'; _files' if name in TAKES_FILE else ''}; return ;;"
        for name, words in SUGGESTED.items()
    )
    return f"""\
#compdef {PROGRAM}
# zsh completion for {PROGRAM}: {PROGRAM} completion zsh > "${{fpath[1]}}/_feishu-ws"
_feishu_ws() {{
  local word command=""
  local -a actions
  case "${{words[CURRENT-1]}}" in
{suggested}
    {"|".join(sorted(TAKES_FILE - SUGGESTED.keys()))}) _files; return ;;
  esac
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$command $word" in {_paths(found)}) command="${{command:+$command }}$word" ;; esac
  done
  case "$command" in
{cases}
  esac
}}
case "${{funcstack[1]}}" in  # a function of the file's name, where fpath has it; else it is sourced
  _feishu-ws|_feishu_ws) _feishu_ws "$@" ;;
  *) compdef _feishu_ws {PROGRAM} ;;
esac"""


def _zsh_case(path: str, words: Words) -> str:
    described = " ".join(_quoted(f"{name}:{summary}") for name, summary in words.actions.items())
    describe = f"actions=({described}); _describe action actions; " if described else ""
    plain = " ".join(word for word in _offered(words) if word not in words.actions)
    return f'    "{path}") {describe}compadd -- {plain} ;;'


def _fish(found: Grammar) -> str:
    lines = [f"# fish completion for {PROGRAM}: {PROGRAM} completion fish | source"]
    for path, words in found.items():
        where = _fish_where(path, words)
        offers = [(f"-f -a {name}", summary) for name, summary in words.actions.items()]
        offers += [(_fish_option(option), option.summary) for option in words.options]
        lines += [_fish_line(where, what, summary) for what, summary in offers]
    return "\n".join(lines)


def _fish_where(path: str, words: Words) -> str:
    """Return the condition that the words of `path` were given and no more are."""
    if not path:
        return "__fish_use_subcommand"
    tests = [f"__fish_seen_subcommand_from {word}" for word in path.split()]
    if words.actions:
        tests.append(f"not __fish_seen_subcommand_from {' '.join(words.actions)}")
    return "; and ".join(tests)


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
    suggested = [word for name in option.names for word in SUGGESTED.get(name, ())]
    return " ".join([*parts, *([f"-a {_quoted(' '.join(suggested))}"] if suggested else [])])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"
