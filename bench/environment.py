"""An environment for what the benchmarks compare with: its packages come before the product's, which it sees as well.

`python -m bench.environment` makes it where it is missing, and prints its Python.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from skincare.launch.bootstrap import install, make_environment

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "var" / "bench-environment"
REQUIREMENTS: Final = ROOT / "bench" / "requirements.txt"


def comparison_python() -> str:
    """The environment's Python, installed from bench/requirements.txt where that has changed since."""
    FOLDER.parent.mkdir(exist_ok=True)
    python = make_environment(str(FOLDER), sys.executable)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    ours, theirs = (
        subprocess.run([each, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
        for each in (sys.executable, python)
    )
    (Path(theirs) / "product.pth").write_text(f"{ours}\n")
    install(python, [str(REQUIREMENTS)], str(FOLDER / "installed"))
    return python


if __name__ == "__main__":
    print(comparison_python())
