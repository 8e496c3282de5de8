"""The project's own rules that a pattern cannot say, each a function that reads one parsed file and names the lines.

The others are in semgrep.yml: see docs/decisions/0140.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

#: What belongs to a patient: whose rows only querysets and services may choose.
PATIENT_BOUND: Final = frozenset(
    {"Analysis", "AnswerShown", "Assessment", "Case", "CaseImage", "ConsentEvent", "DataKey", "FirstRead", "Lesion",
     "Message", "MessageImage", "MessagesSeen", "Outcome", "Patient", "Referral", "ReferralFigures", "SecondOpinion",
     "ShadowReading"}
)  # fmt: skip
#: Where requests arrive.
INTERFACES: Final = ("diagnosis/api/", "diagnosis/web/", "diagnosis/tasks.py", "training/api/", "training/web/")
#: Ends in what one person may see, or in nothing.
_NARROWED: Final = re.compile(r"^(for_\w+|referred_to|none|due)$")
#: A condition that hangs a row on one that was narrowed before.
_HUNG: Final = re.compile(r"^(referral|case|patient|lesion|message|analysis|author|user|reader)(__|$)")

#: Words whose values describe a patient or open an account.
PERSONAL_WORDS: Final = re.compile(
    r"(^|_)(name|names|record_number|number|birth|birth_date|born|note|notes|description|text|question|comment|words|"
    r"email|mail|password|token|signature|witness|explanation|address|phone|body|data|content|payload|post|url)$"
)


@dataclass(frozen=True)
class Breach:
    """A line that breaks a rule."""

    path: str
    line: int
    found: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found}"


Check = Callable[[ast.Module, str], Iterator[tuple[int, str]]]


@dataclass(frozen=True)
class Rule:
    """A rule, what to do instead, and an example of a breach that the tests show to be noticed."""

    name: str
    fix: str
    check: Check
    bad: tuple[tuple[str, str], ...]
    good: tuple[tuple[str, str], ...] = ()

    def breaches(self, source: str, path: str) -> list[Breach]:
        """Those in one file."""
        tree = ast.parse(source)
        return [Breach(path, line, f"{found}. {self.fix}") for line, found in self.check(tree, path)]


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or attribute; calls and indices on the way are left out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Subscript):
        return dotted(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def is_interface(path: str) -> bool:
    """Whether requests arrive in this file."""
    return path.startswith(INTERFACES)


# --- Who sees what ----------------------------------------------------------------------------------------------------
def _chain(node: ast.expr) -> list[ast.Call]:
    """The calls of ``Model.objects.a(…).b(…)``, from the first."""
    found: list[ast.Call] = []
    while True:
        if isinstance(node, ast.Call):
            found.insert(0, node)
            node = node.func
        elif isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        else:
            return found


def rows_of_patients(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """``Case.objects`` that nothing narrows to what the person may see."""
    if not is_interface(path):
        return
    inner = {id(node.func.value) for node in calls(tree) if isinstance(node.func, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr) or id(node) in inner:
            continue
        root = dotted(node).split(".")
        if len(root) < 3 or root[0] not in PATIENT_BOUND or root[1] != "objects" or not isinstance(node, ast.Call):
            continue
        if not any(_narrows(call) for call in _chain(node)):
            yield node.lineno, f"{root[0]}.objects is not narrowed to what the person may see"
    for call in calls(tree):
        first = call.args[0] if call.args else None
        bare = isinstance(first, ast.Name) and first.id in PATIENT_BOUND
        bare = bare or (isinstance(first, ast.Attribute) and dotted(first).partition(".")[0] in PATIENT_BOUND)
        if dotted(call.func) in ("get_object_or_404", "get_list_or_404") and bare:
            yield call.lineno, "get_object_or_404 takes any row"


def _narrows(call: ast.Call) -> bool:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if _NARROWED.match(method):
        return True
    if method not in ("filter", "get"):
        return False
    # Positional conditions are Q objects, which are made of narrowed querysets; a row's id that comes from another
    # row (`referral.case_id`) was narrowed with that one, while a plain `pk` comes from the address.
    return bool(call.args) or any(
        keyword.arg is not None
        and (_HUNG.match(keyword.arg) or (keyword.arg == "pk" and isinstance(keyword.value, ast.Attribute)))
        for keyword in call.keywords
    )


_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


def declared_access(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """A view of the API that does not say whom each of its methods answers."""
    if "/api/" not in path:
        return
    for view in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        handlers = {item.name for item in view.body if isinstance(item, ast.FunctionDef) and item.name in _METHODS}
        declared: set[str] = set()
        for item in view.body:
            target = item.target if isinstance(item, ast.AnnAssign) else None
            target = item.targets[0] if isinstance(item, ast.Assign) else target
            if isinstance(target, ast.Name) and target.id == "access":
                value = item.value  # type: ignore[union-attr]
                if isinstance(value, ast.Dict):
                    declared = {str(getattr(key, "value", "")).lower() for key in value.keys}
            if isinstance(target, ast.Name) and target.id in ("permission_classes", "authentication_classes"):
                names = {dotted(base).rpartition(".")[2] for base in view.bases}
                if "ApiView" in names:
                    yield item.lineno, f"{view.name} sets {target.id} beside its declared access"
        if handlers and any(
            dotted(base).rpartition(".")[2] in ("ApiView", "APIView", "GenericAPIView") for base in view.bases
        ):
            for handler in sorted(handlers - declared):
                yield view.lineno, f"{view.name} declares no access for {handler.upper()}"


# --- What is said of people -------------------------------------------------------------------------------------------
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
#: Exceptions whose text names a version, a run or a state, and never a person.
_IMPERSONAL: Final = re.compile(
    r"\b(BundleError|BundleRefused|NetworkUnavailable|NotReady|LeaseLost|FileNotFoundError)\b"
)


def logs(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """A log line that may tell of a person: by a field, a text put together, or an exception's words."""
    handlers: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kind = ast.unparse(node.type) if node.type else ""
            handlers |= {id(inner): kind for inner in ast.walk(node)}
    for call in calls(tree):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in _LEVELS):
            continue
        if dotted(call.func.value) not in ("log", "logger", "logging", "_log", "structlog"):
            continue
        if call.args and not (isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)):
            yield call.lineno, "the event is not a plain text"
        if len(call.args) > 1:
            yield call.lineno, "positional values in a log line"
        for keyword in call.keywords:
            if keyword.arg is None or PERSONAL_WORDS.search(keyword.arg):
                yield call.lineno, f"{keyword.arg or '**'}= in a log line"
            words = ast.unparse(keyword.value)
            if "str(error" in words and not _IMPERSONAL.search(handlers.get(id(call), "")):
                yield call.lineno, f"{words}: an exception's words may quote what somebody sent"
            if isinstance(keyword.value, ast.Attribute) and PERSONAL_WORDS.search(keyword.value.attr):
                owner = dotted(keyword.value.value)
                if owner.rpartition(".")[2] in ("patient", "case", "lesion", "user", "referral", "message", "request"):
                    yield call.lineno, f"{words} in a log line"


def keyword_only(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """A write in which who acts could be mixed up with on whom."""
    if not PurePosixPath(path).match("*/services/*.py"):
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            written = any("atomic" in ast.unparse(each) for each in node.decorator_list)
            if written and any(argument.arg in ("user", "by", "actor") for argument in node.args.args):
                yield node.lineno, f"{node.name}() takes who acts by position"


RULES: Final = (
    Rule(
        "rows of patients are chosen by querysets",
        "Begin with for_user, for_reader, for_clinician, for_administrator or referred_to, or put the read into a "
        "queryset or a service.",
        rows_of_patients,
        bad=(
            ("diagnosis/api/x.py", "case = Case.objects.get(pk=pk)"),
            ("diagnosis/api/x.py", "rows = Patient.objects.all()"),
            ("diagnosis/web/x.py", "rows = Referral.objects.filter(state='sent').order_by('pk')[:5]"),
            ("diagnosis/web/x.py", "case = get_object_or_404(Case, pk=pk)"),
            ("diagnosis/tasks.py", "for case in Case.objects.exclude(state='x'): pass"),
            ("training/api/x.py", "n = CaseImage.objects.count()"),
        ),
        good=(
            ("diagnosis/api/x.py", "case = get_object_or_404(Case.objects.for_user(user).select_related('x'), pk=pk)"),
            ("diagnosis/api/x.py", "case = Case.objects.only('pk').get(pk=referral.case_id)"),
            ("diagnosis/web/x.py", "rows = Message.objects.filter(referral=referral).order_by('sent_at')"),
            ("diagnosis/services/x.py", "case = Case.objects.get(pk=pk)"),
        ),
    ),
    Rule(
        "every view of the API declares whom it answers",
        "Add the method to `access` (diagnosis/api/access.py), and a row to the permission matrix.",
        declared_access,
        bad=(
            ("diagnosis/api/x.py", "class V(ApiView):\n def get(self, request): ..."),
            ("diagnosis/api/x.py", "class V(ApiView):\n access: ClassVar = {'GET': 1}\n def post(self, request): ..."),
            (
                "training/api/x.py",
                "class V(ApiView):\n access = {'GET': 1}\n permission_classes = []\n def get(self): ...",
            ),
        ),
        good=(("diagnosis/api/x.py", "class V(ApiView):\n access: ClassVar = {'GET': 1}\n def get(self): ..."),),
    ),
    Rule(
        "logs tell of ids and kinds, not of people",
        "Log an id, a code or type(error).__name__.",
        logs,
        bad=(
            ("diagnosis/services/x.py", "log.info('stored', name=patient.name)"),
            ("diagnosis/services/x.py", "log.info('stored', who=patient.record_number)"),
            ("diagnosis/services/x.py", "log.info(f'stored {patient}')"),
            ("diagnosis/services/x.py", "log.info('stored %s', patient)"),
            ("diagnosis/services/x.py", "log.info('stored', **fields)"),
            ("diagnosis/services/x.py", "try: pass\nexcept ValueError as error: log.error('failed', why=str(error))"),
            ("diagnosis/api/x.py", "log.info('asked', body=request.data)"),
        ),
        good=(
            ("diagnosis/services/x.py", "log.info('stored', case=str(case.pk), model_version=version.name)"),
            ("diagnosis/services/x.py", "try: pass\nexcept BundleError as error: log.error('x', error=str(error))"),
        ),
    ),
    Rule(
        "writes take who acts by name",
        "Put `*,` first.",
        keyword_only,
        bad=(("diagnosis/services/x.py", "@transaction.atomic\ndef refer(user, case): ..."),),
        good=(("diagnosis/services/x.py", "@transaction.atomic\ndef refer(*, user, case): ..."),),
    ),
)
