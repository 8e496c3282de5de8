"""What a page says where something was refused: the service's own words, or in another language a sentence by its code.

Services speak English, to programs and logs as well, and name what is wrong exactly. A page in another language says
the same more generally rather than in a language that its reader may not have.
"""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from diagnosis.services.errors import Refusal

SENTENCES: Final[dict[str, Promise]] = {
    "address_refused": _("This address is not called: a public https address without a password is needed."),
    "already_yours": _("You have this referral already."),
    "authenticate_again": _("Your sign-in is too long ago to sign. Prove who you are, then sign again."),
    "columns": _("The columns of the file are not those that are needed."),
    "differs_from_consensus": _("A third reader settled the disagreement otherwise."),
    "has_read": _("This colleague has read the referral already; ask another."),
    "hours_must_rise": _("What is more urgent must not have longer than what is less urgent."),
    "illegal_transition": _("This is not possible in the state in which the referral is now."),
    "impossible_confidence": _("Confidence is 0 to 100 per cent."),
    "impossible_hours": _("Hours are 1 to 2160."),
    "in_the_future": _("The day lies in the future."),
    "malformed": _("The lesion is given by its id, and the day as YYYY-MM-DD."),
    "months_missing": _("Say after how many months to look again: 1 to 36."),
    "months_needless": _("Months belong to the plan to look again: 1 to 36."),
    "no_consent": _("The patient's consent to teledermatology is not in force."),
    "no_month": _("A month is written as YYYY-MM, such as 2026-03."),
    "no_such_lesion": _("This clinic has no lesion of this id."),
    "no_such_service": _("There is no such dermatology service."),
    "nobody_may_refer": _("Name the clinics that may refer, or let all refer."),
    "not_a_dermatologist": _("There is no such dermatologist at this service."),
    "not_accepted": _("Accept the referral first."),
    "not_csv": _("The file cannot be read. Save it as CSV UTF-8."),
    "not_signed": _("There is no signed answer yet; the document follows it."),
    "not_to_be_corrected": _("This is no outcome of this lesion, or it was corrected already."),
    "not_your_part": _("This is for the dermatologist who accepted, or one who was asked."),
    "number_of_photographs": _("A message takes at most 5 photographs."),
    "opinion_awaited": _("An opinion is awaited; wait for it, or take the request back."),
    "opinion_over": _("This request for an opinion has ended."),
    "patient_erased": _("This patient's data were erased."),
    "read_already": _("You have read this referral already."),
    "read_first": _("Record your own read first; the network's answer follows it."),
    "readers_agree": _("The second reader agrees; there is nothing to settle."),
    "readers_disagree": _("The readers disagree. Ask a third reader to settle it."),
    "settled": _("A third reader has settled it."),
    "switched_off": _("This webhook is switched off. Register the address anew."),
    "taken": _("A colleague accepted this referral before."),
    "text_missing": _("Words are needed here."),
    "text_too_long": _("The text is too long."),
    "title_missing": _("A title of 1 to 80 characters is needed."),
    "title_taken": _("There is a text of this name already; choose another."),
    "too_many": _("There are too many already. Delete one first."),
    "too_many_months": _("At most 36 months are shown at once."),
    "unknown_clinic": _("One of the clinics does not exist."),
    "unknown_diagnosis": _("This is not a diagnosis of the dictionary."),
    "unknown_event": _("This is not an event that can be told."),
    "unknown_kind": _("Say how it is known."),
    "unknown_language": _("The document is not written in this language."),
    "unknown_plan": _("This is not one of the plans."),
    "waiting": _("It waits to be sent already."),
    "wrong_order": _("The first month lies after the last one."),
}


def in_words(refusal: Refusal) -> Refusal:
    """The same for the person who reads the page."""
    if (get_language() or "en").startswith("en"):
        return refusal
    return type(refusal)(refusal.code, str(SENTENCES.get(refusal.code, refusal.detail)), refusal.field)
