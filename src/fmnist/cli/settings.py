"""Makes a flag of each setting, and help that lists the flags in groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from fmnist.cli import completion
from fmnist.config import DEFAULT_PRESET, PRESETS, kinds, leaf_fields, leaf_title, leaf_type, leaves, preset
from fmnist.run.directory import find_run, find_run_or_file

ARGUMENTS = "fmnist.arguments"
_ALL = "fmnist.help-all"  # where a context keeps that every setting is to be listed


class SettingsCommand(click.Command):
    """A command whose help lists the settings by section: the common ones, or all with `--help-all`.

    `context.meta[ARGUMENTS]` has the arguments as they were given, for processes that do the same.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, then parse them."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options and its presets, then the settings, with the preset's values."""
        name, settings = self._preset(ctx), leaf_fields()
        usual = leaves(preset(name)) if name else {}
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        if name:
            groups["Presets"] = [(each, summary) for each, (summary, _) in PRESETS.items()]
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if not isinstance(parameter, click.Option) or record is None:
                continue
            if parameter.name not in settings:
                groups["Options"].append(record)
            elif ctx.meta.get(_ALL) or settings[parameter.name][1].metadata["common"]:
                flag, text = record
                value = _told(parameter.name, usual.get(parameter.name))
                groups.setdefault(leaf_title(parameter.name), []).append((flag, text + value))
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def _preset(self, ctx: click.Context) -> str:
        """Return the preset that is given, or else the default one; nothing for a command without presets."""
        has_presets = any(option.name == "preset_name" for option in self.params)
        return str(ctx.params.get("preset_name") or DEFAULT_PRESET) if has_presets else ""


def _told(name: str, value: Any) -> str:
    """Return how help shows a default; nothing where the text says it, or where none is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        value = f"{'' if value else 'no-'}{name.replace('_', '-')}"
    return f"  [default: {value if isinstance(value, str) else _number(value)}]"


def _number(value: Any) -> str:
    return ",".join(map(_number, value)) if isinstance(value, tuple) else f"{value:.4g}" if value != 0 else "0"


def _show_all(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        context.meta[_ALL] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()


class _Numbers(click.ParamType):
    """Numbers with commas between them, such as `32,64,128`; where `single` is set, one alone stays a number."""

    name = "N,N,…"

    def __init__(self, kind: type, single: bool) -> None:
        self.kind, self.single = kind, single

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            whole, example = ("whole ", "32,64,128") if self.kind is int else ("", "0.1,0.2,0.3")
            self.fail(f"got '{value}', expected {whole}numbers with commas between them, such as {example}", param, ctx)
        return numbers[0] if self.single and len(numbers) == 1 else numbers


class Seconds(click.ParamType):
    """A length of time: `90`, `90s`, `10m`, `1h30m`; seconds where no unit is given."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds."""
        match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(value).strip())
        if not match or not any(match.groups()):
            self.fail(f"got '{value}', expected a time such as 90s, 10m or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return 3600 * hours + 60 * minutes + seconds


def setting_options(function: Callable[..., Any], without: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Add a flag for each setting of the config tree, e.g. `--batch-size`; all default to None: the preset's value.

    `without` are settings whose flag would be another one's in that command.
    """
    for name, (_, spec) in reversed(leaf_fields().items()):
        if name in without:
            continue
        single, item = kinds(leaf_type(name))
        flag, choices = "--" + name.replace("_", "-"), spec.metadata["choices"]
        how: dict[str, Any] = {"default": None, "help": spec.metadata["help"]}
        if bool in single:
            flag += f"/--no-{flag[2:]}"
        elif name == "time_budget":
            how["type"] = Seconds()
        elif item is not None:
            how["type"] = _Numbers(item, bool(single))
        else:
            how["type"] = click.Choice(choices) if choices else single[0]
        if name in RUNS:
            how |= {"metavar": "RUN", "shell_complete": completion.runs}
        function = click.option(flag, name, **how)(function)
    return click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help="Show this message with every setting, and exit.",
    )(function)


# Settings that a run's name, or `latest`, may stand in, and who finds it.
RUNS: dict[str, Callable[..., Any]] = {"initial_weights": find_run, "teacher": find_run_or_file}


def find_runs(given: dict[str, Any], runs_dir: Any) -> None:
    """Let a run's name, or `latest`, in such a setting become its path.

    Raises:
        InputError: there is no such run.
    """
    for name in RUNS.keys() & given.keys():
        found = RUNS[name](given[name], runs_dir)
        given[name] = str(getattr(found, "path", found))
