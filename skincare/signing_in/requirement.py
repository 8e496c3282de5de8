"""/account/organisations/{id}/: an administrator decides whether members need a second factor, and from when."""

from datetime import UTC, datetime, time
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from diagnosis.models.patients import organisations_of_administrator
from skincare.accounts import second_factor
from skincare.accounts.models import User
from skincare.accounts.recently import demand_recent
from skincare.signing_in.forms import RequirementForm


@require_http_methods(["GET", "POST"])
def requirement(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show what is required and who has no second factor yet; change it, after a fresh proof of who one is."""
    user = request.user
    assert isinstance(user, User)
    mine = organisations_of_administrator(user)
    if not mine.exists():
        raise PermissionDenied("this is for administrators; you are not one in any organisation")
    organisation = get_object_or_404(mine, pk=pk)
    since = organisation.second_factor_required_from
    if request.method == "POST":
        demand_recent(request)
        form = RequirementForm(request.POST, organisation=organisation)
        if form.is_valid():
            day = form.cleaned_data["required_from"]
            wanted = None
            if form.cleaned_data["required"]:
                # A day that has begun means now: what was decided is never true of the past.
                wanted = max(datetime.combine(day, time.min, UTC), timezone.now())
                if since is not None and since <= timezone.now() >= datetime.combine(day, time.min, UTC):
                    wanted = since
            if wanted != since:
                second_factor.set_requirement(organisation, wanted, by=user)
            messages.success(request, gettext("What members need to sign in has been saved."))
            return redirect("second-factor-requirement", pk=organisation.pk)
    else:
        form = RequirementForm(organisation=organisation)
    context = {
        "organisation": organisation,
        "since": since,
        "today": timezone.now().date(),
        "members": second_factor.members_of(organisation),
        "form": form,
    }
    return render(request, "account/requirement.html", context, status=422 if form.errors else 200)
