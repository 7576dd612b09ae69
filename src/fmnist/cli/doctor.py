"""`fmnist doctor`: checks for problems and suggests fixes."""

from pathlib import Path

from fmnist.cli import options
from fmnist.cli.terminal import tell
from fmnist.text import plural

_SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@options.command("doctor", "fmnist doctor", "fmnist doctor runs/first")
@options.run_argument("target", metavar="[RUN|FILE]", required=False)
@options.runs_dir_option
@options.data_dir_option
def command(target: str | None, runs_dir: Path, data_dir: Path | None, as_json: bool) -> int:
    """Check the installation, the engine and the data; or a run, a study, a model, a data file or a history.

    Says what is wrong and how to mend it; changes and fetches nothing. Exit code 1 if something is wrong.
    """
    from fmnist import doctor

    found = []
    for check in doctor.examine(target, runs_dir=runs_dir, data_dir=data_dir):
        found.append(check)
        if not as_json:
            colour = "red" if check.state == doctor.WRONG else None
            tell(f"{_SIGNS[check.state]}  {check.name:18}  {_indented(check.text)}", colour)
            if check.mend:
                tell(f"{'':27}→ {check.mend}")
    wrong = sum(check.state == doctor.WRONG for check in found)
    if as_json:
        options.print_json({"ok": not wrong, "checks": [vars(check) for check in found]})
    elif wrong:
        tell(f"\n{plural(wrong, 'thing')} wrong; the arrows say how to mend that")
    else:
        tell("\nNothing is wrong")
    return 1 if wrong else 0


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{'':27}")
