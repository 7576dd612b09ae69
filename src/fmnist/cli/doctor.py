"""`fmnist doctor`: checks for problems and suggests fixes."""

from pathlib import Path

from fmnist.cli import options
from fmnist.cli.terminal import tell
from fmnist.text import plural

_WIDTH = 19  # of the longest name of a check
_SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@options.command("doctor", "fmnist doctor", "fmnist doctor runs/first")
@options.run_argument("target", metavar="[RUN|FILE]", required=False)
@options.runs_dir_option
@options.data_dir_option
def command(target: str | None, runs_dir: Path, data_dir: Path | None, as_json: bool) -> int:
    """Check the installation, the engine and the data; or a run, a study, a model, a data file or a history.

    Prints each problem with a fix; changes and fetches nothing. The exit code is 1 if there is a problem.
    """
    from fmnist import doctor

    found = []
    for check in doctor.examine(target, runs_dir=runs_dir, data_dir=data_dir):
        found.append(check)
        if not as_json:
            colour = "red" if check.state == doctor.WRONG else None
            tell(f"{_SIGNS[check.state]}  {check.name:{_WIDTH}}  {_indented(check.text)}", colour)
            if check.mend:
                tell(f"{'':{_WIDTH + 9}}→ {check.mend}")
    wrong = sum(check.state == doctor.WRONG for check in found)
    if as_json:
        options.print_json({"ok": not wrong, "checks": [vars(check) for check in found]})
    elif wrong:
        tell(f"\n{plural(wrong, 'problem')} found; each arrow shows a fix")
    else:
        tell("\nNo problem found")
    return 1 if wrong else 0


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{'':{_WIDTH + 9}}")
