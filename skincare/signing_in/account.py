"""/account/: what protects one's account, and everything that is signed in to it."""

from uuid import UUID

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from diagnosis.models.patients import organisations_of_administrator
from skincare.accounts import second_factor, sessions, tokens
from skincare.accounts.models import ApiToken, BrowserSession, User
from skincare.accounts.recently import recently_authenticated
from skincare.signing_in.forms import NewTokenForm


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def overview(request: HttpRequest) -> HttpResponse:
    """Second factors, sessions and tokens at a glance."""
    user = _user(request)
    factors = list(Authenticator.objects.filter(user=user, type__in=second_factor.FACTORS).order_by("created_at"))
    return render(
        request,
        "account/overview.html",
        {
            "apps": [factor for factor in factors if factor.type == Authenticator.Type.TOTP],
            "passkeys": [factor for factor in factors if factor.type == Authenticator.Type.WEBAUTHN],
            "codes_left": second_factor.recovery_codes_left(user),
            "standing": second_factor.standing_of(user),
            "required_from": second_factor.required_from(user),
            "sessions": sessions.sessions_of(user),
            "session_key": request.session.session_key,
            "tokens": [{"row": row, "name": tokens.name_of(row)} for row in tokens.living(user)],
            "organisations": organisations_of_administrator(user),
        },
    )


@require_POST
def revoke_session(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End one session. Ending the one in use signs out."""
    user = _user(request)
    session = get_object_or_404(BrowserSession, user=user, pk=pk)
    sessions.revoke(user, session)
    if session.session_key == request.session.session_key:
        request.session.flush()
        return redirect("sign-in")
    messages.success(request, gettext("The session has ended."))
    return redirect("account")


@require_POST
def revoke_other_sessions(request: HttpRequest) -> HttpResponse:
    """End all sessions but the one in use."""
    number = sessions.revoke_others(_user(request), request.session.session_key)
    text = ngettext("%(number)d other session has ended.", "%(number)d other sessions have ended.", number)
    messages.success(request, text % {"number": number})
    return redirect("account")


@require_http_methods(["GET", "POST"])
@recently_authenticated
def new_token(request: HttpRequest) -> HttpResponse:
    """Make a token for a program, and show it this once."""
    user = _user(request)
    form = NewTokenForm(request.POST or None, initial={"scopes": ["read"], "hours": tokens.DEFAULT_HOURS})
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        row, plain = tokens.issue(
            user,
            name=asked["name"],
            scopes=asked["scopes"],
            hours=asked["hours"],
            second_factor=second_factor.was_used_in(request),
        )
        return render(request, "account/token.html", {"token": row, "plain": plain})
    return render(request, "account/new_token.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
def revoke_token(request: HttpRequest, name: str) -> HttpResponse:
    """End one token."""
    user = _user(request)
    found = list(ApiToken.objects.filter(user=user, digest__startswith=name))
    if len(found) != 1:
        raise Http404
    tokens.revoke(found[0], by=user)
    messages.success(request, gettext("The token has ended."))
    return redirect("account")
