"""What the app's modules say, by the keys that they ask with; `{name}` is replaced there.

Whole sentences, so that other languages can order their words as they must; numbers stand apart, so that no language
needs a plural.
"""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from diagnosis.classifier.recommendation import Level
from diagnosis.models import CloseReason, Urgency
from diagnosis.services.wording import REASONS


@dataclass(frozen=True)
class LevelText:
    """A place on the scale of urgency, in two or three words."""

    short: Promise


LEVELS: Final[dict[str, LevelText]] = {
    Level.CLINICAL_JUDGEMENT.value: LevelText(_("Your judgement")),
    Level.HUMAN_REVIEW.value: LevelText(_("Doctor’s look")),
    Level.REFER.value: LevelText(_("Refer")),
    Level.REFER_URGENTLY.value: LevelText(_("Refer urgently")),
}

#: The seven diagnoses as a general practitioner names them.
DIAGNOSES: Final[dict[str, Promise]] = {
    "akiec": _("Actinic keratosis or Bowen’s disease"),
    "bcc": _("Basal cell carcinoma"),
    "bkl": _("Harmless keratosis (seborrhoeic, sun spot)"),
    "df": _("Dermatofibroma (harmless fibrous lump)"),
    "mel": _("Melanoma"),
    "nv": _("Mole (naevus)"),
    "vasc": _("Blood vessel lesion (such as an angioma)"),
}


@dataclass(frozen=True)
class UrgencyText:
    """How soon, and when to choose it."""

    name: Promise
    help: Promise


URGENCIES: Final[dict[str, UrgencyText]] = {
    Urgency.URGENT_SUSPECTED_CANCER.value: UrgencyText(
        _("Urgent: suspected cancer"), _("Melanoma or squamous cell carcinoma is possible, or the checklist says so.")
    ),
    Urgency.SOON.value: UrgencyText(_("Soon"), _("Such as a possible basal cell carcinoma, or no valid AI result.")),
    Urgency.ROUTINE.value: UrgencyText(_("Routine"), _("A second look, without suspicion of cancer.")),
}

CLOSE_REASONS: Final[dict[str, Promise]] = {
    CloseReason.HARMLESS.value: _("Harmless in my judgement"),
    CloseReason.TREATED.value: _("Treated here"),
    CloseReason.SENT_ELSEWHERE.value: _("Referred another way"),
    CloseReason.PATIENT_DECLINED.value: _("The patient wishes no more"),
    CloseReason.MISTAKE.value: _("Entered by mistake"),
}

#: Months after which a lesion is usually looked at again.
OBSERVATION_MONTHS: Final = (1, 3, 6, 12)

TEXTS: Final[dict[str, Promise]] = {
    # the server and the network
    "no_network": _("The server cannot be reached. What you entered is kept."),
    "who_unknown": _(
        "This phone does not know yet who is signed in, and the server cannot be reached. Connect it, and try again."
    ),
    "server_problem": _("The server answered with an error ({status}). Try again in a moment."),
    "problem not_found": _("There is no such thing, or you may not see it."),
    "problem throttled": _("Too many requests. Wait a minute, and try again."),
    "problem patient_erased": _("The patient was erased; nothing can be added any more."),
    "problem database_unavailable": _("The server is busy at the moment. It is tried again by itself."),
    "problem store_unavailable": _("The server is busy at the moment. It is tried again by itself."),
    "problem unexpected": _("Something failed on the server. Try again in a moment."),
    "problem record_number_taken": _("This record number already belongs to a patient whom the server knows."),
    "problem in_the_future": _("This phone’s clock is ahead of the server’s. Set the clock, and try again."),
    "problem signature_blank": _("The signature is missing."),
    "delivered": _("A case has arrived at the server."),
    "recent_offline": _(
        "No network: the latest cases are shown when there is one. You can begin and finish new cases."
    ),
    # the lock
    "locked": _("Locked"),
    "locked_for": _("{name}, enter the PIN that you chose on this phone."),
    "pin_six": _("The PIN needs six digits."),
    "pin_differs": _("The two PINs are not the same."),
    "pin_easy": _("This PIN is easy to guess. Choose one without a row of digits."),
    "pin_wrong": _("That is not the PIN. Tries left before begun cases are deleted: {left}"),
    "pin_gone": _(
        "Too many wrong PINs: cases that were begun are deleted. What was submitted is safe. Choose a new PIN."
    ),
    "passkey_on": _("Unlock with fingerprint or face"),
    "passkey_off": _("No longer unlock with fingerprint or face"),
    "passkey_added": _("From now on fingerprint or face unlocks this app."),
    "passkey_removed": _("Only the PIN unlocks this app now."),
    "passkey_not_used": _("That did not work. Use the PIN."),
    "passkey_impossible": _("This phone cannot do it. The PIN goes on working."),
    # the menu
    "everywhere_sure": _("Sign out on all devices, and end all tokens of programs that you connected?"),
    "signed_in_as": _("Signed in as {email}"),
    "sign_out_unsent": _(
        "Cases that have not been sent yet: {number}. Signing out deletes them from this phone, and nobody can bring "
        "them back. Wait for the network, or send them first."
    ),
    "sign_out_owed": _(
        "This phone is emptied. The server does not know yet that you have signed out: it is told as soon as there is a "
        "network and this app is open."
    ),
    # home
    "hello": _("Hello, {name}"),
    "no_patient_yet": _("No patient yet"),
    "no_name": _("Without a name"),
    "no_case_yet": _("No case yet. Photograph the first lesion: from consent to answer it takes about two minutes."),
    "none_of_these": _("There is none at the moment."),
    "cases latest": _("Latest cases"),
    "cases waiting": _("Waiting for the network"),
    "cases new": _("New answers"),
    "cases referred": _("With the dermatologist"),
    "due_on": _("due {date}"),
    "unread": _("Unread: {number}"),
    "state waiting": _("Waiting"),
    "short clinical_judgement": _("Your judgement"),
    "short human_review": _("Doctor’s look"),
    "short refer": _("Refer"),
    "short refer_urgently": _("Refer urgently"),
    # unsent
    "unsent_count": _("Unsent: {number}"),
    "unsent_since": _("Finished {time}"),
    "unsent_waiting": _("Waits for the network."),
    "unsent_tried": _("Waits for the network. Tried: {attempts}"),
    "unsent_signed_out": _("You are signed out. Sign in, and it is sent."),
    "unsent_others": _("Made by somebody else on this phone. It is sent when they sign in here."),
    "unsent_refused": _("The server did not take it: {reason}"),
    "mend": _("Mend it"),
    "discard": _("Discard this case"),
    "cannot_mend": _(
        "It cannot be opened here any more, because the PIN was changed. Enter the case again. ({reason})"
    ),
    # steps
    "step patient": _("Patient"),
    "step consent": _("Consent"),
    "step site": _("Body site"),
    "step photographs": _("Photographs"),
    "step history": _("History"),
    "step impression": _("Your impression"),
    "step review": _("Review"),
    "choose": _("Choose"),
    "is_chosen": _("Chosen"),
    "open": _("Open"),
    "change": _("Change"),
    "change_step": _("Change: {step}"),
    # patient
    "record_number_missing": _("Enter the record number."),
    "patient_new": _("Nobody has this record number yet. The rest can be left out."),
    "patient_offline": _(
        "No network, so the patient cannot be looked up. If the number is known to the server, you can say so later."
    ),
    "patient_not_looked_up": _(
        "The server does not answer, so the patient cannot be looked up. If the number is known to it, you can say so "
        "later."
    ),
    "name_and_birth_missing": _("Enter the whole name and the birth date."),
    "nobody_by_name": _("Your clinic has no patient with this name and birth date."),
    "new_by_name": _("Nobody has this name and birth date yet. Enter the record number above for a new patient."),
    "nobody_found": _("Your clinic has no patient with this record number."),
    "born_in_future": _("The birth date lies in the future."),
    "born": _("born {date}"),
    "sex female": _("female"),
    "sex male": _("male"),
    # consent
    "in_force": _("Agreed before, and still in force: {scopes}"),
    "scope analysis": _("Analysis"),
    "scope teledermatology": _("Teledermatology"),
    "scope research": _("Research"),
    "will_be_read": _("The network will read the photographs."),
    "not_read_without": _("Without consent to analysis the case is stored, and the network does not read it."),
    "not_referred_without": _("Without consent to teledermatology it cannot be referred from here."),
    "agreed_to_nothing": _("Agreed to nothing"),
    "method_missing": _("Say how the patient agreed: a consent without evidence does not count."),
    "signature_missing": _("The signature is missing."),
    "witness_missing": _("The name of the witness is missing."),
    "scope_missing": _("Switch on what the patient agrees to."),
    "agreed": _("The consent is recorded."),
    "agreed_too_early": _(
        "It is recorded but not in force, because a withdrawal is newer by this phone’s clock. Set the clock, and record it "
        "again."
    ),
    # body site
    "site anterior torso": _("Chest or abdomen"),
    "site posterior torso": _("Back"),
    "site lateral torso": _("Flank"),
    "site head/neck": _("Head or neck"),
    "site upper extremity": _("Arm or hand"),
    "site lower extremity": _("Leg or foot"),
    "site palms/soles": _("Palm or sole"),
    "site oral/genital": _("Mouth or genital area"),
    "site_missing": _("Choose the place: without it the lesion cannot be found again."),
    "chosen": _("Chosen: {site}"),
    "chosen_again": _("Chosen, seen before: {site}"),
    "nothing_chosen": _("Nothing chosen yet"),
    "seen_before": _("seen before"),
    # photographs
    "kind dermoscopic": _("Through a dermatoscope"),
    "kind close_up": _("Close-up"),
    "kind overview": _("Overview"),
    "why dermoscopic": _("With an attachment on the lens. The only kind that the network was trained on."),
    "why close_up": _(
        "The lesion fills a third of the picture, with a ruler beside it. May raise concern, never lower it."
    ),
    "why overview": _("With a landmark, such as the elbow, so that the place is found again. Not read by the network."),
    "hint dermoscopic": _("Put the attachment on the skin, the lesion in the middle. Hold still."),
    "hint close_up": _("Lesion in the circle, ruler along the line. Hold still and tap."),
    "hint overview": _("Show the whole region with a landmark, the lesion near the middle."),
    "camera_denied": _(
        "The camera is not allowed here. Use “From the phone”, or allow the camera in the browser’s settings."
    ),
    "camera_missing": _("There is no camera that this page can use. Use “From the phone”."),
    "too_many": _("A case has at most {most} photographs."),
    "phone_full": _(
        "The phone’s storage is full, so nothing was changed. Send waiting cases or free some space, and try again."
    ),
    "good": _("Good: sharp and well lit"),
    "usable": _("Usable"),
    "not_good": _("Not good enough for the network"),
    "kept": _("Kept, with your remark"),
    "why_keep": _("Why it cannot be better (goes with the case)"),
    "kept_although": _("Photograph {number} was kept although it was marked as poor: {remark}"),
    "photograph_being_read": _("A photograph is still being looked at. One moment, then go on."),
    "photograph_missing": _("A case needs at least one photograph."),
    "photograph_to_decide": _("One photograph is not good enough: take it again, remove it, or keep it and say why."),
    "unusable not_an_image": _("This file is not a photograph that can be opened. Take a new one."),
    "unusable too_small": _("This picture is too small: at least 224 by 224 pixels are needed. Take a new one."),
    "quality blurred": _("It is blurred: hold still, let the camera focus."),
    "quality slightly_blurred": _("It is a little blurred."),
    "quality too_dark": _("It is too dark: use more light."),
    "quality dark": _("It is rather dark."),
    "quality too_bright": _("It is overexposed: use less light, or no flash."),
    "quality bright": _("It is rather bright."),
    "quality glare": _("Light is reflected: tilt the phone, or use contact fluid."),
    "quality low_contrast": _("Hardly anything stands out: move closer."),
    "quality slightly_low_contrast": _("It has little contrast."),
    "quality no_colour": _("It has no colour."),
    "quality elongated": _("It is a long strip: use the whole frame."),
    "quality small": _("It is small: a dermatologist sees more in a larger one."),
    # history and impression
    "score": _("Checklist score: {score} of 10"),
    "score_urgent": _("3 or more: refer urgently, on the suspected skin cancer pathway, whatever the network says."),
    "score_sign": _("Bleeding or growing: refer, whatever the network says."),
    "score_low": _("Below 3: the checklist alone asks for no referral."),
    "questions_open": _("Questions without an answer: {number}"),
    "suspicion_missing": _("Say what you think before the network does."),
    "suspicion malignant": _("Probably malignant"),
    "suspicion unsure": _("Not sure"),
    "suspicion benign": _("Probably benign"),
    # review
    "lacks": _("Missing"),
    "review_lacks": _("Still missing: {steps}"),
    "discard_sure": _("Delete this case from the phone? It has not been sent."),
    # answer
    "not_answered_yet": _("The network has not answered yet."),
    "level human_review": _("A doctor with training in skin lesions should look at this."),
    "from network": _("Decided by the network."),
    "from clinical": _("Decided by the clinical rule, which the network cannot lower."),
    "from both": _("Clinical rule and network agree."),
    **{f"reason {code}": format_lazy("{}", reason) for code, reason in REASONS.items()},
    "less_than_1": _("less than 1%"),
    "more_than_99": _("more than 99%"),
    "risk": _("Risk of a malignant or pre-malignant lesion: {risk}"),
    "risk_short": _("Risk: {risk}"),
    "concern malignant": _("malignant"),
    "concern pre_malignant": _("pre-malignant"),
    "own_impression": _("Your own impression before: {suspicion}; {impression}"),
    "no_opinion": _("no opinion on the diagnosis"),
    "version": _("The network’s version: {name}."),
    "no_version": _("No version of the network answered."),
    "ask_again": _("Ask the network again"),
    "visits": _("Visits: {number}"),
    # what now
    "refer": _("Refer to dermatology"),
    "observe": _("Keep under observation"),
    "close": _("Close the case"),
    "decided observe": _("Under observation: look again on {date}"),
    "decided close": _("Closed: {reason}"),
    "against_note_missing": _("This differs from the recommendation: write down why."),
    "day_missing": _("Choose the day."),
    "reason_missing": _("Choose the reason."),
    **{f"close {code}": text for code, text in CLOSE_REASONS.items()},
    # refer
    "refer_standing": _("This case is before a dermatologist already."),
    "refer_no_consent": _(
        "The patient has not agreed to teledermatology, so the case cannot be sent to another service. Ask the patient: "
        "where they agree, record it here and refer at once. Otherwise refer another way."
    ),
    "refer_no_service": _("No dermatology service takes referrals of your clinic here. Refer another way."),
    "show_referral": _("Show the referral"),
    "record_consent": _("Record the consent"),
    "sent_photographs": _("Photographs: {number}"),
    "sent_patient": _("Age, sex, skin type, body site and record number"),
    "sent_history": _("History and checklist (score {score} of 10), with your remarks"),
    "sent_impression": _("Your impression: {suspicion}"),
    "sent_answer": _("The network’s answer and its map"),
    "referred": _("The referral was sent."),
    **{f"urgency {code}": text.name for code, text in URGENCIES.items()},
    # a referral
    "referral sent": _("Sent, waits for a dermatologist"),
    "referral accepted": _("A dermatologist is reading it"),
    "referral more_information_asked": _("The dermatologist asks you"),
    "referral answered": _("Answered"),
    "referral closed": _("Answered and closed"),
    "referral declined": _("Declined"),
    "referral withdrawn": _("Withdrawn"),
    "referral expired": _("Expired without an answer"),
    "way sent": _("Sent"),
    "way accepted": _("Being read"),
    "way answered": _("Answered"),
    "way closed": _("Closed"),
    "due_by": _("An answer is due by {date}."),
    "accepted_by": _("{name} has accepted it. An answer is due by {date}."),
    "asked_by": _("{name} needs more from you before answering. Reply below."),
    "expired_more": _("Nobody answered in time. Refer it again, or another way."),
    "decline not_ours": _("Not a question for this service"),
    "decline poor_photographs": _("The photographs cannot be assessed"),
    "decline see_in_person": _("The patient must be seen in person"),
    "decline no_capacity": _("No capacity"),
    "plan reassure": _("Reassure; no follow-up"),
    "plan observe": _("Look again"),
    "plan biopsy": _("Biopsy"),
    "plan excise": _("Excise"),
    "plan see_in_person": _("See in person"),
    "plan urgent": _("Urgent suspected cancer pathway"),
    "plan_months": _("in months: {months}"),
    "confidence": _("Confidence: {confidence}%."),
    "signed_by": _("Signed by {name}, {time}."),
    "amended": _("This amends an earlier answer."),
    "fact_service": _("Service"),
    "fact_urgency": _("Urgency"),
    "fact_question": _("Your question"),
    "fact_sent": _("Sent"),
    "fact_due": _("Due"),
    "no_question": _("No question was written."),
    "acted_upon": _("Read and acted upon: close"),
    "to_case": _("Show the case"),
    "withdraw": _("Withdraw the referral"),
    "withdraw_sure": _("Withdraw this referral? The service no longer sees the case."),
    "refer_again": _("Refer again"),
    # messages
    "message question": _("question"),
    "message reply": _("reply"),
    "message_images": _("Photographs: {number}"),
    "message_photograph": _("Photograph sent with the message"),
    "write_to_service": _("Write to the service"),
    "reply_to_question": _("Your reply"),
    "send": _("Send"),
    "reply": _("Reply"),
    "message_missing": _("Write something first."),
    "message_sent": _("The message was sent."),
    # documents
    "paper_letter": _("The dermatologist’s letter (PDF)"),
    "paper_leaflet": _("The patient’s leaflet (PDF)"),
    "paper_referral": _("The referral letter (PDF)"),
    "paper_saved": _("The document was saved."),
    # over time
    "due_since": _("To be looked at again: due {date}."),
    "look_again_on": _("Under observation: look again on {date}."),
    "dermatologist_said": _("Dermatologist: {diagnosis}. {plan}"),
    "aligned": _("Aligned by the place of the lesion. Move it by hand where that is wrong."),
    "not_aligned": _("The lesion could not be found by itself. Move the later photograph by hand."),
}
