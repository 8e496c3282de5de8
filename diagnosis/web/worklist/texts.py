"""/worklist/texts/: ready texts for assessments, one's own and those of the service."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse

from diagnosis.models import Plan
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.snippets import NewSnippet, delete_snippet, find_snippet, save_snippet, snippets_for
from diagnosis.web.desk import whole_number
from diagnosis.web.refusals import in_words
from diagnosis.web.worklist import reading
from diagnosis.web.worklist.base import ReaderPage
from skincare.accounts.models import Organisation


class TextsPage(ReaderPage):
    """All ready texts of a service that the user may insert, and a form for one more or for one that is changed."""

    def get(self, request: HttpRequest, refusal: Refusal | None = None) -> HttpResponse:
        """Show them."""
        service = self._service(request)
        posted: Any = request.POST if refusal is not None else QueryDict()
        changed = request.GET.get("change", "") or posted.get("id", "")
        if changed and refusal is None:
            try:
                row = find_snippet(self.user, UUID(changed))
            except (ValueError, Refusal) as error:
                raise Http404 from error
            posted = {
                "id": str(row.pk), "title": row.title, "text": row.text, "diagnosis": row.diagnosis, "plan": row.plan,
                "months": row.months or "", "shared": "on" if row.owner_id is None else "",
            }  # fmt: skip
        context = {
            "service": service,
            "services": self.services,
            "rows": snippets_for(self.user, service),
            "groups": reading.choices_of_diagnosis(),
            "plans": Plan.choices,
            "posted": posted,
            "refusal": None if refusal is None else in_words(refusal),
            "user_pk": self.user.pk,
        }
        status = 200 if refusal is None else (409 if isinstance(refusal, Conflict) else 422)
        return render(request, "worklist/texts.html", context, status=status)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep, change or delete one."""
        service = self._service(request)
        try:
            if text := request.POST.get("delete"):
                delete_snippet(user=self.user, snippet_id=UUID(text))
            else:
                self._save(request, service)
        except Refusal as refusal:
            return self.get(request, refusal)
        except ValueError as error:
            raise Http404 from error
        return HttpResponseRedirect(f"{reverse('worklist-texts')}?service={service.pk}", status=303)

    def _save(self, request: HttpRequest, service: Organisation) -> None:
        plan = request.POST.get("plan", "")
        new = NewSnippet(
            title=request.POST.get("title", ""),
            text=request.POST.get("text", "").replace("\r\n", "\n"),
            diagnosis=request.POST.get("diagnosis", ""),
            plan=plan,
            months=whole_number(request, "months", needed=False) if plan == Plan.OBSERVE else None,
            shared="shared" in request.POST,
        )
        known = request.POST.get("id", "")
        save_snippet(user=self.user, service=service, new=new, snippet_id=UUID(known) if known else None)

    def _service(self, request: HttpRequest) -> Organisation:
        wanted = request.GET.get("service", "")
        if not wanted:
            return self.services[0]
        found = next((service for service in self.services if str(service.pk) == wanted), None)
        if found is None:
            raise Http404
        return found
