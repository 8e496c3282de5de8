"""The worklist with 100,000 open referrals among 1,000,000 cases, against the same with a hundred.

    python -m bench.worklist [--cases 1000000] [--open 100000] [--answered 200000] [--rounds 15]

A PostgreSQL of its own, filled by bulk SQL (some 5 GB and a few minutes). Pages are fetched as a signed-in
dermatologist through Django's whole stack; what is behind them is measured once more as the service's function, and its
plan printed. Prints a Markdown page.
"""

import argparse
import logging
import os
import platform as machine
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.stages import Timing, timing_of

FEW = 100
#: As many as HAM10000 has.
REFERENCES = 10_000


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--open", type=int, default=100_000)
    parser.add_argument("--answered", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        os.environ["SKINCARE_VAR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
        import django

        from skincare.launch.servers import Servers

        django.setup()
        logging.disable(logging.INFO)
        with Servers.wanted(Path(folder)).borrowed():
            report(options)


def report(options: argparse.Namespace) -> None:
    """Fill, measure, fill, measure, print."""
    from django.core.management import call_command
    from django.db import connection

    from bench import alike, crowd
    from diagnosis.services.insight.upkeep import catch_up

    call_command("migrate", verbosity=0)
    people = _people()
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {machine.machine()}, Python "
          f"{machine.python_version()}; medians in ms (and quartiles) of {options.rounds} rounds\n")  # fmt: skip
    crowd.fill(people, first=4, cases=3 * FEW, open_referrals=FEW, answered=2 * FEW)
    alike.import_references(REFERENCES, people.version)
    catch_up()
    crowd.analyse_tables()
    few = _measure(people, options.rounds, deep=1)
    begin = time.perf_counter()
    crowd.fill(
        people, first=1000, cases=options.cases - 3 * FEW, open_referrals=options.open - FEW,
        answered=options.answered - 2 * FEW,
    )  # fmt: skip
    crowd.analyse_tables()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        size = cursor.fetchone()[0]
    print(f"Filled in {time.perf_counter() - begin:.0f} s; the database takes {size}.\n")
    begin = time.perf_counter()
    while not catch_up():
        pass
    print(f"The figures of all of them counted in {time.perf_counter() - begin:.0f} s.\n")
    crowd.analyse_tables()
    deep = max(1, min(1000, options.open // 50 // 2))
    many = _measure(people, options.rounds, deep=deep)
    print(f"{'':44}{'a hundred':>22}  {options.open:>22,}   ratio")
    for name, timing in many.items():
        print(f"{name:44}{_text(few[name]):>22}  {_text(timing):>22}  {timing.median / few[name].median:6.1f}")
    print(f"\nDeep is page {deep:,}. Both searches for similar cases compare with {REFERENCES:,} reference images.")
    print("\nPlans")
    for name, plan in _plans(people, deep=deep).items():
        print(f"\n{name}\n{plan}")


def _text(timing: Timing) -> str:
    return f"{timing.median:.1f} ({timing.first_quartile:.1f} to {timing.third_quartile:.1f})"


def _people() -> Any:
    """A service, twenty clinics, and those who work there."""
    from bench.crowd import Crowd
    from diagnosis.services.demo import ensure_policy
    from diagnosis.services.model_versions import register_shipped
    from skincare.accounts.models import Membership, Organisation, Role, User

    service = Organisation.objects.create(name="Service", kind=Organisation.Kind.DERMATOLOGY_SERVICE)
    clinics = [Organisation.objects.create(name=f"Clinic {n}", kind=Organisation.Kind.CLINIC) for n in range(20)]
    clinician = User.objects.create_user("clinician@bench.example", first_name="Nadia", last_name="Haddad")
    Membership.objects.create(user=clinician, organisation=clinics[0], role=Role.CLINICIAN)
    dermatologists = []
    for number in range(10):
        user = User.objects.create_user(
            f"derm{number}@bench.example", first_name="Ingrid", last_name=f"Solberg {number}"
        )
        Membership.objects.create(user=user, organisation=service, role=Role.DERMATOLOGIST)
        dermatologists.append(user)
    return Crowd(service, clinics, clinician, dermatologists, register_shipped(), ensure_policy().pk)


def _searches(people: Any) -> dict[str, Any]:
    """The filters by name, each as one would choose it."""
    from diagnosis.services.worklist import Filters

    return {
        "all": Filters(),
        "mine": Filters(whose="mine"),
        "unclaimed": Filters(whose="unclaimed"),
        "overdue": Filters(whose="overdue"),
        "asked back (one in a hundred)": Filters(whose="asked_back"),
        "urgency": Filters(urgency="routine"),
        "site": Filters(anatom_site_general="posterior torso"),
        "a rare site (one in forty)": Filters(anatom_site_general="palms/soles"),
        "a site that nobody has": Filters(anatom_site_general="oral/genital"),
        "one clinic of twenty": Filters(clinic=people.clinics[7].pk),
        "mine, overdue, of a site": Filters(whose="overdue", urgency="soon", anatom_site_general="palms/soles"),
        "record number": Filters(record_number="R-0000"),
    }


def _key(people: Any, deep: int) -> Any:
    """The key of the last row of page ``deep``, of fifty rows each."""
    from diagnosis.models import Referral
    from diagnosis.models.referrals import OPEN_STATES

    rows = Referral.objects.filter(service=people.service, state__in=OPEN_STATES, stopped_at__isnull=True)
    return rows.order_by("sort_key", "pk").values_list("sort_key", "pk")[deep * 50 - 1]


def _measure(people: Any, rounds: int, deep: int) -> dict[str, Timing]:
    """Every page and function, in turns."""
    from django.test import Client

    from bench.alike import seal_embeddings
    from diagnosis.services.similar import similar_cases
    from diagnosis.services.worklist import counts, page_before, worklist

    key, referral = _key(people, deep), seal_embeddings(people)
    user, service = referral.claimed_by, people.service
    browser = Client(headers={"host": "localhost"})
    browser.force_login(user)
    similar_cases(user=user, referral=referral)  # the first of a process reads the reference set

    def get(address: str) -> Callable[[], object]:
        def fetch() -> object:
            answer = browser.get(address)
            if answer.status_code != 200:
                raise RuntimeError(f"{address}: {answer.status_code}")
            return answer

        return fetch

    things: dict[str, Callable[[], object]] = {
        "page: first": get("/worklist/"),
        "page: deep": get(f"/worklist/?after={key[0]}.{key[1]}"),
        "page: a rare site": get("/worklist/?anatom_site_general=palms/soles"),
        "page: insight, half a year": _afresh(get("/insight/")),
        "page: insight, a year": _afresh(get(f"/insight/?from={datetime.now(UTC).year - 1}-{datetime.now(UTC):%m}")),
        "page: reading a case": get(f"/worklist/{referral.pk}/"),
        "page: what changed, what looks alike": get(f"/worklist/{referral.pk}/beside/"),
        "similar cases": lambda: similar_cases(user=user, referral=referral),
        "counts": lambda: counts(user=user, service=service),
        "rows: deep": lambda: worklist(user=user, service=service, filters=_searches(people)["all"], after=key),
        "rows: before": lambda: page_before(user=user, service=service, filters=_searches(people)["all"], before=key),
    }
    for name, filters in _searches(people).items():
        things[f"rows: {name}"] = lambda filters=filters: worklist(user=user, service=service, filters=filters)
    taken: dict[str, list[float]] = {name: [] for name in things}
    for round_ in range(rounds + 1):
        for name, thing in things.items():
            begin = time.perf_counter()
            thing()
            if round_:
                taken[name].append((time.perf_counter() - begin) * 1000)
    return {name: timing_of(each) for name, each in taken.items()}


def _afresh(fetch: Callable[[], object]) -> Callable[[], object]:
    """The same with nothing kept from before."""
    from django.core.cache import caches

    def clear_and_fetch() -> object:
        caches["figures"].clear()
        return fetch()

    return clear_and_fetch


def _plans(people: Any, deep: int) -> dict[str, str]:
    """EXPLAIN (ANALYZE, BUFFERS) of what the list asks for, without the literals."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from bench.alike import seal_embeddings
    from diagnosis.models import Referral
    from diagnosis.services.insight.report import insight
    from diagnosis.services.insight.scope import Period
    from diagnosis.services.worklist import counts, worklist

    referral = seal_embeddings(people)
    user, service = referral.claimed_by, people.service
    asked: dict[str, Callable[[], object]] = {
        f"rows: {name}": lambda filters=filters: worklist(user=user, service=service, filters=filters)
        for name, filters in _searches(people).items()
    }
    key = _key(people, deep)
    asked["rows: deep"] = lambda: worklist(user=user, service=service, filters=_searches(people)["all"], after=key)
    asked["counts"] = lambda: counts(user=user, service=service)
    period = Period.of("", "", datetime.now(UTC).date())
    asked["insight, half a year"] = _afresh(lambda: insight(user=user, organisation=service, period=period))
    asked["a referral by its id"] = lambda: Referral.objects.for_reader(user).get(pk=referral.pk)
    plans = {}
    for name, ask in asked.items():
        with CaptureQueriesContext(connection) as captured:
            ask()
        texts = []
        for query in captured.captured_queries:
            if not query["sql"].lstrip().startswith(("SELECT", "WITH")) or "diagnosis_" not in query["sql"]:
                continue
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) " + query["sql"].replace("%", "%%"))
                texts.append("\n".join(_short(line) for (line,) in cursor.fetchall() if _tells(line)))
        plans[name] = "\n".join(texts)
    return plans


def _tells(line: str) -> bool:
    return bool(re.search(r"Scan|Join|Sort |Loop|Limit|Execution|Rows Removed|Aggregate", line))


def _short(line: str) -> str:
    return "  " + re.sub(r"'[0-9a-f-]{30,}'(::uuid)?", "…", line)[:150]


if __name__ == "__main__":
    main()
