"""/notices/: what happened to one's referrals and cases, and how one is told of it by e-mail."""

from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from diagnosis.models import MailWanted, Notification, Referral
from diagnosis.services import notifications
from diagnosis.web.desk import DeskPage
from skincare.accounts.models import Role

ROWS: Final = 100


class NoticesPage(DeskPage):
    """The latest notices, each with a way to what it is about."""

    template = "desk/notices.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        rows = list(Notification.objects.filter(user=self.user)[:ROWS])
        asked = [row.referral_id for row in rows if row.referral_id]
        read = set(Referral.objects.for_reader(self.user).filter(pk__in=asked).values_list("pk", flat=True))
        sent = set(Referral.objects.for_clinician(self.user).filter(pk__in=asked).values_list("pk", flat=True))
        notices = []
        for row in rows:
            address = ""
            if row.referral_id in read:
                address = reverse("worklist-case", args=[row.referral_id])
            elif row.referral_id in sent:
                address = f"{reverse('capture')}#/referral/{row.referral_id}"
            elif row.case_id:
                address = f"{reverse('capture')}#/answer/{row.case_id}"
            elif row.emergency_id and Role.ADMINISTRATOR in self.user.roles:
                address = reverse("privacy-emergency")
            notices.append({"row": row, "text": notifications.SENTENCES[row.kind], "address": address})
        return self.page(
            request,
            {
                "notices": notices,
                "unseen": sum(row.seen_at is None for row in rows),
                "choices": MailWanted.choices,
                "wanted": notifications.mail_wanted(self.user).value,
            },
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        """Mark all as seen, or choose how to be told."""
        if request.POST.get("mail") in MailWanted.values:
            notifications.set_preference(user=self.user, mail=MailWanted(request.POST["mail"]))
        else:
            notifications.mark_seen(user=self.user)
        return HttpResponseRedirect(reverse("notices-page"), status=303)
