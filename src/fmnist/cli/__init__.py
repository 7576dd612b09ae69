"""The command line: one table of commands, loaded when they run, and one place that turns errors into exit codes."""

import io
import os
import sys
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from fmnist.cli import terminal
from fmnist.errors import FmnistError, did_you_mean

# name: (module, what it does). The order is that of `fmnist --help`.
COMMANDS = {
    "data": ("fmnist.cli.data", "Fetch, check and describe the data set."),
    "audit": ("fmnist.cli.audit", "Find wrong labels, copies and odd images in a data set."),
    "train": ("fmnist.cli.train", "Train a model, evaluate it and write a report."),
    "evaluate": ("fmnist.cli.evaluate", "Score a run's model on the test set."),
    "robustness": ("fmnist.cli.robustness", "Score a run's model on corrupted test images; find where it fails."),
    "diagnose": ("fmnist.cli.diagnose", "Explain a training history in words, and suggest what to try next."),
    "compare": ("fmnist.cli.compare", "Train a baseline and its variants, and tell what each variant changes."),
    "tune": ("fmnist.cli.tune", "Search for the settings with the lowest validation loss."),
    "predict": ("fmnist.cli.predict", "Classify pictures."),
    "export": ("fmnist.cli.export", "Convert a model for phones and servers, and check each file."),
    "benchmark": ("fmnist.cli.benchmark", "Measure exported files: speed, size, memory, accuracy."),
    "serve": ("fmnist.cli.serve", "Serve a model through a web page and a REST API."),
    "report": ("fmnist.cli.report", "Draw a run's plots and write its report."),
    "runs": ("fmnist.cli.runs", "List the runs in a folder."),
    "doctor": ("fmnist.cli.doctor", "Check for problems and suggest fixes."),
}


class _Commands(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        command: click.Command = import_module(module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            known = list(COMMANDS)
            ctx.fail(f"there is no command '{args[0]}'{did_you_mean(args[0], known)} (commands: {', '.join(known)})")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  fmnist train --preset reference\n  fmnist report latest",
)
@click.version_option(package_name="fmnist")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(debug: bool) -> None:
    """Train, understand and ship small-image classifiers, starting with Fashion-MNIST."""


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit code.

    0 done; 1 it failed; 2 bad usage or bad input; 130 and 143 after Ctrl-C and SIGTERM.
    """
    _prepare_streams()
    code = _run(sys.argv[1:] if argv is None else list(argv))
    processes = sys.modules.get("fmnist.backend.processes")
    if code and processes and processes.joined():
        os._exit(code)  # at its end Python would wait for the other processes of the run
    return code


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    terminal.set_level(terminal.USUAL)
    try:
        code = command.main(arguments, prog_name="fmnist", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else error.format_message())
        return 2
    except click.ClickException as error:
        usage = f"{error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else None
        message = error.format_message() + (f" (see {usage})" if usage else "")
        return _tell(message, 2, error, debug)
    except FmnistError as error:
        return _tell(str(error), error.exit_code, error, debug)
    except (KeyboardInterrupt, click.exceptions.Abort):
        print("\nInterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `fmnist data | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except PermissionError as error:
        return _tell(f"{error.strerror or error}: {error.filename or 'by the system'}", 2, error, debug)
    except Exception as error:  # a mistake of ours: still one message
        return _tell(
            f"unexpected {type(error).__name__}: {error} (run again with --debug to see where)", 1, error, debug
        )


def _prepare_streams() -> None:
    """Lose no result while printing: what the terminal's encoding lacks is escaped, and a closed stream takes all."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _tell(message: str, code: int, error: BaseException, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    terminal.say(f"Error: {message}", "red", level=terminal.QUIET)
    return code
