"""The rules of semgrep.yml hold in every file, and each is shown to notice what it is there for.

semgrep lives in an environment of its own, which `make .venv-semgrep` makes; it is asked to tell nobody anything.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(settings.BASE_DIR)
RULES = ROOT / "tests" / "project" / "semgrep.yml"

#: By rule: files that break it.
BAD: dict[str, tuple[tuple[str, str], ...]] = {
    "forms-are-protected-against-forged-requests": (
        ("diagnosis/web/x.py", "@csrf_exempt\ndef page(request): ..."),
        ("diagnosis/web/x.py", "@method_decorator(csrf_exempt, name='dispatch')\nclass Page: ..."),
        ("skincare/x.py", "view = csrf_exempt(View)"),
    ),
    "tasks-are-rung-by-name-on-commit": (
        ("diagnosis/services/x.py", "read_waiting_cases.delay()"),
        ("diagnosis/services/x.py", "task.delay_on_commit(case.pk)"),
        ("training/services/x.py", "app.send_task('x')"),
        ("training/services/x.py", "task.apply_async(args=[1])"),
    ),
    "tasks-have-a-name-of-their-own": (
        ("diagnosis/x.py", "@shared_task\ndef read(): ..."),
        ("diagnosis/x.py", "@shared_task(time_limit=60)\ndef read(): ..."),
        ("diagnosis/x.py", "@app.task\ndef read(): ..."),
    ),
    "tasks-have-no-arguments": (
        ("diagnosis/x.py", "@shared_task(name='x')\ndef read(patient): ..."),
        ("diagnosis/x.py", "@shared_task(name='x')\ndef read(*patients): ..."),
        ("diagnosis/x.py", "@shared_task(name='x', bind=True)\ndef read(self, *, patient): ..."),
    ),
    "tasks-keep-their-time-limits": (
        ("diagnosis/x.py", "@shared_task(name='x', time_limit=None)\ndef read(): ..."),
        ("training/x.py", "@shared_task(name='x', soft_time_limit=None)\ndef read(): ..."),
    ),
    "nothing-runs-what-it-reads": (
        ("training/x.py", "import pickle"),
        ("training/x.py", "from pickle import loads"),
        ("training/x.py", "value = eval(text)"),
        ("training/x.py", "import yaml\nyaml.load(text)"),
        ("training/x.py", "subprocess.run(line, shell=True)"),
        ("training/x.py", "np.load(path, allow_pickle=True)"),
        ("training/x.py", "import keras\nkeras.models.load_model(path)"),
        ("training/x.py", "session.get(url, verify=False)"),
        ("training/x.py", "os.system(line)"),
    ),
    "nothing-calls-out-but-the-guarded-webhooks": (
        ("diagnosis/services/x.py", "import requests"),
        ("diagnosis/services/x.py", "import requests.sessions"),
        ("diagnosis/services/x.py", "from urllib.request import urlopen"),
        ("diagnosis/services/x.py", "from urllib import request"),
        ("training/x.py", "import http.client"),
        ("diagnosis/api/x.py", "raw = socket.create_connection((host, 80))"),
    ),
    "sql-stays-in-querysets": (
        ("diagnosis/models/x.py", "Case.objects.raw(text)"),
        ("diagnosis/models/x.py", "Case.objects.filter(x=1).extra(where=[text])"),
        ("diagnosis/models/x.py", "Case.objects.annotate(x=RawSQL(text, []))"),
    ),
    "no-sql-where-requests-arrive": (
        ("diagnosis/api/x.py", "cursor.execute('SELECT 1')"),
        ("training/web/x.py", "cursor.executemany('SELECT 1', [])"),
    ),
    "markup-is-escaped": (
        ("diagnosis/web/x.py", "mark_safe(note)"),
        ("diagnosis/web/x.py", "SafeString(note)"),
        ("diagnosis/web/x.py", "format_html(f'<b>{note}</b>')"),
        ("diagnosis/web/x.py", "format_html(text, note)"),
    ),
}
#: What breaks none, though it looks like it.
GOOD: tuple[tuple[str, str], ...] = (
    ("diagnosis/api/problems.py", "@csrf_exempt  # it does nothing\ndef nothing_here(request): ..."),
    ("diagnosis/services/bell.py", "app.send_task('x')"),
    ("diagnosis/x.py", "@shared_task(name='x', time_limit=60)\ndef read(): ..."),
    ("training/x.py", "import re\nre.compile('x')\nnp.load(path, allow_pickle=False)\nsubprocess.run(['ls'])"),
    ("diagnosis/services/webhooks.py", "import http.client"),
    ("skincare/launch/x.py", "raw = socket.create_connection((host, 80))"),
    (
        "diagnosis/services/x.py",
        "cursor.execute('SELECT 1')\nfrom urllib.parse import urlsplit\nfrom http import HTTPStatus",
    ),
    ("diagnosis/migrations/0001_x.py", "Case.objects.raw(text)"),
    ("diagnosis/web/x.py", "format_html('<b>{}</b>', note)"),
    ("training/evaluation/x.py", "mark_safe(chart)"),
)


def scan(folder: Path, *paths: str) -> list[tuple[str, str]]:
    """Rule and file of each finding, below a folder."""
    semgrep = ROOT / ".venv-semgrep" / "bin" / "semgrep"
    if not semgrep.exists():
        pytest.skip("no semgrep: make .venv-semgrep")
    done = subprocess.run(
        [
            semgrep, "scan", "--config", RULES, "--metrics", "off", "--disable-version-check", "--no-git-ignore",
            "--project-root", folder, "--max-target-bytes", "0", "--json", "--quiet", *paths,
        ],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{semgrep.parent}:{os.environ['PATH']}", "SEMGREP_SEND_METRICS": "off"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["errors"] == []
    assert len(found["paths"]["scanned"]) > 0
    return [(each["check_id"].rpartition(".")[2], each["path"]) for each in found["results"]]


def test_every_rule_has_bad_examples() -> None:
    assert [rule["id"] for rule in yaml.safe_load(RULES.read_text())["rules"]] == list(BAD)


def test_no_file_breaks_a_rule() -> None:
    assert scan(ROOT, "skincare", "diagnosis", "training", "manage.py") == []


def test_each_rule_notices_each_bad_example_and_no_rule_a_good_one(tmp_path: Path) -> None:
    """In a folder that looks like the project: each example in a file of its own."""
    cases = [(rule, path, source) for rule, examples in BAD.items() for path, source in examples]
    cases += [("", path, source) for path, source in GOOD]
    files = {path.replace("x.py", f"x{number}.py"): (rule, source) for number, (rule, path, source) in enumerate(cases)}
    assert len(files) == len(cases)
    for path, (_, source) in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source + "\n")
    found: dict[str, set[str]] = {}
    for rule, path in scan(tmp_path, "."):
        found.setdefault(str(Path(path)), set()).add(rule)
    missed = [source for path, (rule, source) in files.items() if rule and rule not in found.get(path, ())]
    wrong = [(found[path], source) for path, (rule, source) in files.items() if not rule and path in found]
    assert missed == []
    assert wrong == []
