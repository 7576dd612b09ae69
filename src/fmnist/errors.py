"""The errors a user can meet. The command line turns each into one message and an exit code."""


class FmnistError(Exception):
    """Base class of every error that is told to the user in one message, without a traceback."""

    exit_code = 1


class InputError(FmnistError, ValueError):
    """What the user gave cannot be used: a wrong value, file, folder or name (exit code 2)."""

    exit_code = 2


class RunError(FmnistError, RuntimeError):
    """The input was fine but the work failed: a locked run, a full disk, a loss that is not finite (exit code 1)."""

    exit_code = 1


class Diverged(RunError):
    """Training met a loss or a weight that is not a finite number; with the same settings it would again."""


class LostPeer(RunError):
    """Another process that trains the same run has ended or cannot be reached; the run can be continued."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 200 characters: runtimes write essays."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def listed(title: str, problems: list[str]) -> str:
    """Return one message of all problems, a line each below a title; a single one speaks for itself."""
    return problems[0] if len(problems) == 1 else "\n  ".join([f"{title}:", *problems])


def did_you_mean(name: str, known: list[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name that is closest to what was written, or an empty string."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
