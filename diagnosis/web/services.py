"""/services/: how a dermatology service takes referrals, and the webhooks of an organisation."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from diagnosis.models import Webhook, WebhookDelivery
from diagnosis.models.patients import organisations_of_administrator
from diagnosis.services import webhooks
from diagnosis.services.errors import Refusal
from diagnosis.services.service_policies import HOURS, NewPolicy, services_led_by, services_seen_by, set_policy
from diagnosis.services.worklist_order import policy_of
from diagnosis.web.desk import DeskPage, whole_number
from skincare.accounts.models import Organisation
from skincare.accounts.recently import demand_recent

DELIVERIES_SHOWN = 50


class ServicesPage(DeskPage):
    """Which organisations somebody reads for or administers, and what can be set there."""

    roles = frozenset({"dermatologist", "administrator"})
    template = "desk/services.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        led = set(organisations_of_administrator(self.user).values_list("pk", flat=True))
        seen = set(services_seen_by(self.user).values_list("pk", flat=True))
        rows = Organisation.objects.filter(pk__in=led | seen)
        return self.page(
            request, {"rows": [{"row": row, "led": row.pk in led, "rules": row.pk in seen} for row in rows]}
        )


class RulesPage(DeskPage):
    """The rules of one service; its administrators may change them."""

    roles = frozenset({"dermatologist", "administrator"})
    template = "desk/rules.html"

    def get(self, request: HttpRequest, pk: UUID, refusal: Refusal | None = None) -> HttpResponse:
        """Show them."""
        service = get_object_or_404(services_seen_by(self.user).distinct(), pk=pk)
        policy = policy_of(service)
        saved = not policy._state.adding
        chosen = {str(clinic) for clinic in policy.clinics.values_list("pk", flat=True)} if saved else set()
        sent = request.POST if refusal is not None else None
        if sent is not None:
            chosen = set(sent.getlist("clinics"))
        labels = {field.name: field.help_text for field in policy._meta.fields}
        return self.page(
            request,
            {
                "service": service,
                "may_change": services_led_by(self.user).filter(pk=pk).exists(),
                "hours": [
                    (name, labels[name], sent.get(name, "") if sent is not None else getattr(policy, name))
                    for name in HOURS
                ],
                "blind_read": "blind_read" in sent if sent is not None else policy.blind_read,
                "open_to_all": "open_to_all_clinics" in sent if sent is not None else policy.open_to_all_clinics,
                "clinics": [
                    (clinic, str(clinic.pk) in chosen)
                    for clinic in Organisation.objects.filter(kind=Organisation.Kind.CLINIC)
                ],
                "saved": "saved" in request.GET,
            },
            refusal,
        )

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Change them."""
        service = get_object_or_404(services_led_by(self.user), pk=pk)
        demand_recent(request)
        try:
            set_policy(
                user=self.user,
                service=service,
                new=NewPolicy(
                    **{name: whole_number(request, name) or 0 for name in HOURS},
                    blind_read="blind_read" in request.POST,
                    open_to_all_clinics="open_to_all_clinics" in request.POST,
                    clinics=tuple(UUID(text) for text in request.POST.getlist("clinics") if len(text) == 36),
                ),
            )
        except Refusal as refusal:
            return self.get(request, pk, refusal)
        except ValueError as error:
            raise Http404 from error
        return HttpResponseRedirect(f"{reverse('service-rules', args=[pk])}?saved", status=303)


class WebhooksPage(DeskPage):
    """An organisation's webhooks with the log of what was sent."""

    roles = frozenset({"administrator"})
    template = "desk/webhooks.html"

    def get(  # nosec B107
        self, request: HttpRequest, pk: UUID, refusal: Refusal | None = None, secret: str = "", of: UUID | None = None
    ) -> HttpResponse:
        """Show them; a secret that was just made is shown this once."""
        organisation = get_object_or_404(organisations_of_administrator(self.user), pk=pk)
        rows = [
            {
                "row": row,
                "secret": secret if row.pk == of else "",
                "deliveries": [
                    {"row": delivery, "event": webhooks.EVENTS[delivery.event]}
                    for delivery in row.deliveries.all()[:DELIVERIES_SHOWN]
                ],
                "events": [(event, webhooks.EVENTS[event]) for event in row.events],
            }
            for row in Webhook.objects.filter(organisation=organisation).order_by("-active", "created_at")
        ]
        context = {"organisation": organisation, "rows": rows, "events": webhooks.EVENTS.items()}
        return self.page(request, {**context, "chosen": request.POST.getlist("events")}, refusal)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Register, renew a secret, switch off, or send again."""
        organisation = get_object_or_404(organisations_of_administrator(self.user), pk=pk)
        mine = Webhook.objects.filter(organisation=organisation)
        act, _dot, text = request.POST.get("do", "").partition(":")
        try:
            target = UUID(text) if text else None
        except ValueError as error:
            raise Http404 from error
        try:
            match act:
                case "create":
                    demand_recent(request)
                    made, secret = webhooks.create_webhook(
                        user=self.user,
                        organisation=organisation,
                        url=request.POST.get("url", "").strip(),
                        events=request.POST.getlist("events"),
                    )
                    return self.get(request, pk, secret=secret, of=made.pk)
                case "renew":
                    demand_recent(request)
                    webhook = get_object_or_404(mine, pk=target)
                    return self.get(
                        request, pk, secret=webhooks.renew_secret(user=self.user, webhook=webhook), of=webhook.pk
                    )
                case "off":
                    webhooks.switch_off(user=self.user, webhook=get_object_or_404(mine, pk=target))
                case "resend":
                    delivery = get_object_or_404(WebhookDelivery, webhook__in=mine, pk=target)
                    webhooks.resend(user=self.user, delivery=delivery)
                case _:
                    raise Http404
        except Refusal as refusal:
            return self.get(request, pk, refusal)
        return HttpResponseRedirect(reverse("service-webhooks", args=[pk]), status=303)
