"""Who gets what at which address: route, method and person, as one table."""

#: Everything that the Django admin serves. It asks for a member of staff itself (see the last test) and has no
#: patient data (see tests of diagnosis/admin.py).
LEFT_TO_THE_ADMIN = "admin/"

PEOPLE = ("anonymous", "own", "other", "dermatologist", "administrator", "steward", "reader")
"""Nobody; a clinician of the case's clinic; one of another clinic; a dermatologist to whom nothing was referred; an
administrator of the case's clinic; a model steward; a colleague of the clinic with a token that may only read."""

ALL_200 = (200,) * 7
SIGNED_IN = (401, 200, 200, 200, 200, 200, 200)
A_LIST = (401, 200, 200, 403, 403, 403, 200)
AN_OBJECT = (401, 200, 404, 403, 403, 403, 200)
OWN_ACCOUNT = (302, 200, 200, 200, 200, 200, 200)
NOT_ONES_OWN = (302, 404, 404, 404, 404, 404, 404)
#: For clinicians, and for dermatologists to whom it was referred.
A_CASE_OF_READERS = (401, 200, 404, 404, 403, 403, 200)
FOR_DERMATOLOGISTS = (401, 403, 403, 200, 403, 403, 403)
FOR_ADMINISTRATORS = (401, 403, 403, 403, 200, 403, 403)
FOR_STEWARDS = (401, 403, 403, 403, 403, 200, 403)
REFUSED_TO_STEWARDS_TOO = (401, 403, 403, 403, 403, 409, 403)  # 409: not in that state
A_PAGE_OF_STEWARDS = (302, 403, 403, 403, 403, 200, 403)
A_PAGE_OF_ADMINISTRATORS = (302, 403, 403, 403, 200, 403, 403)  # 302: to the log-in

A_PAGE_OF_CLINICIANS = (302, 200, 200, 403, 403, 403, 200)
A_REFERRAL_OF_ANOTHER_SERVICE = (302, 403, 403, 404, 403, 403, 403)  # who sees one: tests of web/worklist

#: The clinician of another clinic opened the record in an emergency; that is theirs alone.
OPENED_BY_OTHER = (401, 404, 200, 404, 403, 403, 404)
OPENED_BY_OTHER_ON_PAGES = (302, 404, 200, 404, 403, 403, 404)

API = "api/v1/"
TABLE: dict[tuple[str, str], tuple[int, ...]] = {
    ("GET", ""): ALL_200,
    ("GET", "favicon.ico"): (302,) * 7,
    ("GET", "sign-in/"): ALL_200,
    ("GET", "sign-in/code/"): (302,) * 7,  # only half-way through signing in
    ("GET", "sign-in/passkey/"): (302,) * 7,
    ("POST", "sign-out/"): (302,) * 7,
    ("POST", "appearance/"): (303,) * 7,
    ("GET", "start/"): (302,) * 7,
    ("GET", "healthz"): ALL_200,
    ("GET", "metrics"): (401,) * 7,  # for Prometheus, by a token of its own
    ("GET", "readyz"): (503,) * 7,  # no worker runs in this test
    ("GET", "api/schema/"): ALL_200,
    ("GET", "api/docs/"): ALL_200,
    ("GET", "capture/"): (302, 200, 200, 403, 403, 403, 200),
    ("GET", "capture/manifest.webmanifest"): ALL_200,
    ("GET", "capture/service-worker.js"): ALL_200,
    ("GET", "privacy/"): A_PAGE_OF_ADMINISTRATORS,
    ("POST", "privacy/"): (302, 403, 403, 403, 303, 403, 403),
    ("GET", "privacy/patients/<uuid:pk>/"): A_PAGE_OF_ADMINISTRATORS,
    # 302: confirm first that it is you
    ("GET", "privacy/patients/<uuid:pk>/export/"): (302, 403, 403, 403, 302, 403, 403),
    ("POST", "privacy/patients/<uuid:pk>/export/"): (302, 403, 403, 403, 302, 403, 403),
    ("GET", "privacy/patients/<uuid:pk>/erase/"): (302, 403, 403, 403, 302, 403, 403),
    ("POST", "privacy/patients/<uuid:pk>/erase/"): (302, 403, 403, 403, 302, 403, 403),
    ("GET", "privacy/emergency/"): A_PAGE_OF_ADMINISTRATORS,
    ("POST", "privacy/emergency/<uuid:pk>/end/"): (302, 403, 403, 403, 303, 403, 403),
    ("GET", "privacy/organisations/<uuid:pk>/emergency/"): A_PAGE_OF_ADMINISTRATORS,
    # 302: confirm first that it is you
    ("POST", "privacy/organisations/<uuid:pk>/emergency/"): (302, 403, 403, 403, 302, 403, 403),
    ("GET", "emergency/"): (302, 302, 302, 302, 403, 403, 302),
    ("POST", "emergency/"): (302, 302, 302, 302, 403, 403, 302),
    ("GET", "emergency/<uuid:pk>/"): OPENED_BY_OTHER_ON_PAGES,
    ("POST", "emergency/<uuid:pk>/end/"): (302, 404, 303, 404, 403, 403, 404),
    ("GET", "emergency/<uuid:pk>/photographs/<uuid:image>/"): OPENED_BY_OTHER_ON_PAGES,
    ("GET", "consents/"): A_PAGE_OF_CLINICIANS,
    ("POST", "consents/"): (302, 422, 422, 403, 403, 403, 422),  # 422: nobody is named
    ("GET", "consents/<uuid:pk>/"): (302, 200, 404, 403, 403, 403, 200),
    ("POST", "consents/<uuid:pk>/"): (302, 422, 404, 403, 403, 403, 422),  # 422: nothing is said
    ("GET", "patients/<uuid:pk>/correct/"): (302, 200, 404, 403, 403, 403, 200),
    ("POST", "patients/<uuid:pk>/correct/"): (302, 422, 404, 403, 403, 403, 422),  # 422: nothing is said
    ("GET", "account/"): OWN_ACCOUNT,
    ("GET", "account/confirm/"): OWN_ACCOUNT,
    ("GET", "account/confirm/code/"): (302,) * 7,  # nobody here has a second factor
    ("GET", "account/confirm/passkey/"): (302,) * 7,
    ("GET", "account/password/"): OWN_ACCOUNT,
    ("GET", "account/second-factor/"): (302,) * 7,  # nor needs one
    ("GET", "account/app/"): (302,) * 7,  # 302: confirm first that it is you
    ("GET", "account/app/remove/"): NOT_ONES_OWN,
    ("GET", "account/passkeys/"): (302,) * 7,
    ("GET", "account/passkeys/<int:pk>/remove/"): (302,) * 7,
    ("GET", "account/recovery-codes/"): NOT_ONES_OWN,
    ("GET", "account/recovery-codes/new/"): (302,) * 7,
    ("POST", "account/sessions/end-others/"): (302,) * 7,
    ("POST", "account/sessions/<uuid:pk>/end/"): NOT_ONES_OWN,
    ("GET", "account/tokens/"): (302,) * 7,
    ("POST", "account/tokens/<slug:name>/end/"): NOT_ONES_OWN,
    ("GET", "account/organisations/<uuid:pk>/"): A_PAGE_OF_ADMINISTRATORS,
    ("GET", "insight/"): (302, 403, 403, 200, 200, 403, 403),
    ("GET", "worklist/"): (302, 403, 403, 200, 403, 403, 403),
    ("GET", "worklist/<uuid:pk>/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/<uuid:pk>/revision/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/<uuid:pk>/beside/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/<uuid:pk>/similar/<uuid:image>/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/references/<uuid:image>/"): A_REFERRAL_OF_ANOTHER_SERVICE,  # 404: no such image
    ("GET", "worklist/<uuid:pk>/map/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/<uuid:pk>/photographs/<uuid:image>/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/<uuid:pk>/message-photographs/<uuid:image>/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("GET", "worklist/<uuid:pk>/documents/<slug:kind>/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("POST", "worklist/<uuid:pk>/do/<slug:action>/"): A_REFERRAL_OF_ANOTHER_SERVICE,
    ("POST", "worklist/find/"): (302, 403, 403, 200, 403, 403, 403),
    ("POST", "worklist/views/"): (302, 403, 403, 404, 403, 403, 403),  # 404: nothing to keep or forget
    ("GET", "worklist/texts/"): (302, 403, 403, 200, 403, 403, 403),
    ("POST", "worklist/texts/"): (302, 403, 403, 422, 403, 403, 403),  # 422: no text
    ("GET", "notices/"): OWN_ACCOUNT,
    ("POST", "notices/"): (302, 303, 303, 303, 303, 303, 303),
    ("GET", "outcomes/"): A_PAGE_OF_CLINICIANS,
    ("GET", "outcomes/import/"): A_PAGE_OF_CLINICIANS,
    ("POST", "outcomes/import/"): (302, 422, 422, 403, 403, 403, 422),  # 422: no file
    ("GET", "outcomes/<uuid:pk>/"): (302, 200, 404, 403, 403, 403, 200),
    ("POST", "outcomes/<uuid:pk>/"): (302, 422, 404, 403, 403, 403, 422),  # 422: nothing chosen
    ("GET", "services/"): (302, 403, 403, 200, 200, 403, 403),
    ("GET", "services/<uuid:pk>/rules/"): (302, 403, 403, 404, 404, 403, 403),  # of another service
    ("POST", "services/<uuid:pk>/rules/"): (302, 403, 403, 404, 404, 403, 403),
    ("GET", "services/<uuid:pk>/webhooks/"): A_PAGE_OF_ADMINISTRATORS,
    ("POST", "services/<uuid:pk>/webhooks/"): (302, 403, 403, 403, 404, 403, 403),  # 404: nothing to do
    ("GET", "training/"): A_PAGE_OF_STEWARDS,
    ("POST", "training/"): (302, 403, 403, 403, 403, 303, 403),
    ("GET", "training/datasets/<uuid:pk>/"): A_PAGE_OF_STEWARDS,
    ("GET", "training/leakage/"): (302, 403, 403, 403, 200, 200, 403),
    ("GET", "training/runs/<uuid:pk>/"): A_PAGE_OF_STEWARDS,
    ("POST", "training/runs/<uuid:pk>/"): (302, 403, 403, 403, 403, 303, 403),
    ("GET", "training/runs/<uuid:pk>/progress/"): A_PAGE_OF_STEWARDS,
    ("GET", "training/versions/<uuid:pk>/"): A_PAGE_OF_STEWARDS,
    ("GET", "training/versions/<uuid:pk>/card/"): A_PAGE_OF_STEWARDS,
    ("POST", "training/versions/<uuid:pk>/"): (302, 403, 403, 403, 403, 409, 403),
    ("POST", f"{API}auth/token/"): (201,) * 7,
    ("GET", f"{API}auth/token/"): SIGNED_IN,
    ("DELETE", f"{API}auth/token/"): (401, 204, 204, 204, 204, 204, 204),
    ("POST", f"{API}auth/token/logout-all/"): (401, 204, 204, 204, 204, 204, 403),
    ("GET", f"{API}me/"): SIGNED_IN,
    ("GET", f"{API}patients/"): A_LIST,
    ("POST", f"{API}patients/"): (401, 201, 201, 403, 403, 403, 403),
    ("POST", f"{API}patients/look-up/"): A_LIST,
    ("GET", f"{API}patients/<uuid:pk>/"): AN_OBJECT,
    ("GET", f"{API}patients/<uuid:pk>/consents/"): AN_OBJECT,
    ("POST", f"{API}patients/<uuid:pk>/consents/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}patients/<uuid:pk>/accesses/"): (401, 403, 403, 403, 200, 403, 403),
    ("POST", f"{API}patients/<uuid:pk>/correct/"): (401, 200, 404, 403, 403, 403, 403),
    ("POST", f"{API}patients/<uuid:pk>/erase/"): (401, 403, 403, 403, 200, 403, 403),
    ("POST", f"{API}patients/<uuid:pk>/export/"): (401, 200, 404, 403, 200, 403, 403),
    ("GET", f"{API}consents/<uuid:pk>/signature/"): AN_OBJECT,
    ("GET", f"{API}consent-policies/"): SIGNED_IN,
    ("GET", f"{API}lesions/"): A_LIST,
    ("POST", f"{API}lesions/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}lesions/<uuid:pk>/"): AN_OBJECT,
    ("GET", f"{API}cases/"): A_LIST,
    ("POST", f"{API}cases/"): (401, 201, 404, 403, 403, 403, 403),
    ("POST", f"{API}sealed-cases/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}sealing-key/"): SIGNED_IN,
    ("GET", f"{API}cases/<uuid:pk>/"): AN_OBJECT,
    ("GET", f"{API}cases/<uuid:pk>/leaflet/"): (401, 409, 404, 404, 403, 403, 409),  # 409: nothing is signed
    ("POST", f"{API}cases/<uuid:pk>/retry/"): (401, 409, 404, 403, 403, 403, 403),  # 409: it has an answer
    ("GET", f"{API}cases/<uuid:pk>/decisions/"): AN_OBJECT,
    ("POST", f"{API}cases/<uuid:pk>/decisions/"): (401, 409, 404, 403, 403, 403, 403),  # 409: before a service
    ("GET", f"{API}observations/"): A_LIST,
    ("GET", f"{API}images/<uuid:pk>/content/"): A_CASE_OF_READERS,
    ("GET", f"{API}analyses/<uuid:pk>/map/"): A_CASE_OF_READERS,
    ("GET", f"{API}diagnoses/"): SIGNED_IN,
    ("GET", f"{API}referral-services/"): A_LIST,
    ("GET", f"{API}referrals/"): A_LIST,
    ("POST", f"{API}referrals/"): (401, 409, 404, 403, 403, 403, 403),  # 409: it is before a service
    ("GET", f"{API}referrals/<uuid:pk>/"): A_CASE_OF_READERS,
    ("POST", f"{API}referrals/<uuid:pk>/actions/"): (401, 200, 404, 404, 403, 403, 403),
    ("POST", f"{API}referrals/<uuid:pk>/first-read/"): (401, 403, 403, 404, 403, 403, 403),
    ("POST", f"{API}referrals/<uuid:pk>/assessments/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}referrals/<uuid:pk>/messages/"): A_CASE_OF_READERS,
    ("GET", f"{API}referrals/<uuid:pk>/message-photographs/<uuid:image>/"): A_CASE_OF_READERS,
    ("POST", f"{API}referrals/<uuid:pk>/messages/"): (401, 201, 404, 404, 403, 403, 403),
    ("POST", f"{API}referrals/<uuid:pk>/seen/"): (401, 204, 404, 403, 403, 403, 403),
    ("GET", f"{API}referrals/<uuid:pk>/letter/"): (401, 409, 404, 404, 403, 403, 409),  # 409: nothing is signed
    ("GET", f"{API}referrals/<uuid:pk>/referral-letter/"): A_CASE_OF_READERS,
    ("GET", f"{API}referrals/<uuid:pk>/similar/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}referrals/<uuid:pk>/visits/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}reference-images/<uuid:pk>/content/"): (401, 403, 403, 404, 403, 403, 403),  # 404: no such image
    ("GET", f"{API}referrals/<uuid:pk>/opinions/"): A_CASE_OF_READERS,
    ("POST", f"{API}referrals/<uuid:pk>/opinions/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}opinions/"): FOR_DERMATOLOGISTS,
    ("POST", f"{API}opinions/<uuid:pk>/actions/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}outcomes/"): A_LIST,
    ("POST", f"{API}outcomes/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}outcomes/due/"): A_LIST,
    ("POST", f"{API}outcomes/import/"): (401, 200, 200, 403, 403, 403, 403),  # each into their own clinic
    ("GET", f"{API}notices/"): SIGNED_IN,
    ("POST", f"{API}notices/seen/"): (401, 200, 200, 200, 200, 200, 403),
    ("GET", f"{API}notices/preference/"): SIGNED_IN,
    ("PUT", f"{API}notices/preference/"): (401, 200, 200, 200, 200, 200, 403),
    ("GET", f"{API}saved-views/"): FOR_DERMATOLOGISTS,
    ("POST", f"{API}saved-views/"): (401, 403, 403, 201, 403, 403, 403),
    ("DELETE", f"{API}saved-views/<uuid:pk>/"): (401, 403, 403, 404, 403, 403, 403),  # somebody else's
    ("GET", f"{API}snippets/"): FOR_DERMATOLOGISTS,
    ("POST", f"{API}snippets/"): (401, 403, 403, 201, 403, 403, 403),
    ("PUT", f"{API}snippets/<uuid:pk>/"): (401, 403, 403, 404, 403, 403, 403),
    ("DELETE", f"{API}snippets/<uuid:pk>/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}service-policies/"): SIGNED_IN,
    ("GET", f"{API}service-policies/<uuid:pk>/"): (401, 404, 404, 404, 404, 404, 404),  # of another service
    ("PUT", f"{API}service-policies/<uuid:pk>/"): (401, 403, 403, 403, 404, 403, 403),
    ("GET", f"{API}webhooks/"): FOR_ADMINISTRATORS,
    ("POST", f"{API}webhooks/"): (401, 403, 403, 403, 201, 403, 403),
    ("DELETE", f"{API}webhooks/<uuid:pk>/"): (401, 403, 403, 403, 204, 403, 403),
    ("POST", f"{API}webhooks/<uuid:pk>/secret/"): FOR_ADMINISTRATORS,
    ("GET", f"{API}webhooks/<uuid:pk>/deliveries/"): FOR_ADMINISTRATORS,
    ("POST", f"{API}webhook-deliveries/<uuid:pk>/resend/"): FOR_ADMINISTRATORS,
    ("GET", f"{API}emergency-accesses/"): (401, 200, 200, 200, 403, 403, 200),
    # 409: sees the patient anyway; 404: of an organisation that the clinic has not named
    ("POST", f"{API}emergency-accesses/"): (401, 409, 201, 404, 403, 403, 403),
    ("GET", f"{API}emergency-accesses/<uuid:pk>/"): OPENED_BY_OTHER,
    ("POST", f"{API}emergency-accesses/<uuid:pk>/end/"): (401, 404, 200, 404, 403, 403, 403),
    ("GET", f"{API}emergency-accesses/<uuid:pk>/record/"): OPENED_BY_OTHER,
    ("GET", f"{API}emergency-accesses/<uuid:pk>/photographs/<uuid:image>/"): OPENED_BY_OTHER,
    ("GET", f"{API}emergency-organisations/"): (401, 200, 200, 200, 403, 403, 200),
    ("GET", f"{API}insight/"): (401, 403, 403, 200, 200, 403, 403),
    ("GET", f"{API}worklist/"): (401, 403, 403, 200, 403, 403, 403),
    ("POST", f"{API}worklist/look-up/"): (401, 403, 403, 200, 403, 403, 403),
    ("GET", f"{API}model-versions/"): SIGNED_IN,
    ("GET", f"{API}model-versions/<uuid:pk>/"): SIGNED_IN,
    ("GET", f"{API}model-versions/<uuid:pk>/release/"): FOR_STEWARDS,
    ("POST", f"{API}model-versions/<uuid:pk>/judge/"): REFUSED_TO_STEWARDS_TOO,
    ("POST", f"{API}model-versions/<uuid:pk>/propose/"): REFUSED_TO_STEWARDS_TOO,
    ("POST", f"{API}model-versions/<uuid:pk>/withdraw/"): REFUSED_TO_STEWARDS_TOO,
    ("POST", f"{API}model-versions/<uuid:pk>/approve/"): REFUSED_TO_STEWARDS_TOO,
    ("POST", f"{API}model-versions/<uuid:pk>/roll-back/"): REFUSED_TO_STEWARDS_TOO,
    ("POST", f"{API}model-versions/<uuid:pk>/shadow/"): REFUSED_TO_STEWARDS_TOO,
    ("GET", f"{API}datasets/"): FOR_STEWARDS,
    ("GET", f"{API}datasets/<uuid:pk>/"): FOR_STEWARDS,
    ("GET", f"{API}training-runs/"): FOR_STEWARDS,
    ("POST", f"{API}training-runs/"): (401, 403, 403, 403, 403, 201, 403),
    ("GET", f"{API}training-runs/<uuid:pk>/"): FOR_STEWARDS,
    ("POST", f"{API}training-runs/<uuid:pk>/cancel/"): (401, 403, 403, 403, 403, 202, 403),
    ("GET", "^api/(?P<path>.*)$"): (404,) * 7,
}
#: Where the clinic's administrator sees who did what: ids and colleagues' addresses, but nothing of the patient.
WHO_SAW = {("GET", f"{API}patients/<uuid:pk>/accesses/"), ("GET", "privacy/patients/<uuid:pk>/")}
#: Where that administrator sees which colleagues have no second factor.
WHO_IS_HERE = {("GET", "account/organisations/<uuid:pk>/")}
#: Where whoever opened the record sees the patient.
OPENED = {("GET", f"{API}emergency-accesses/<uuid:pk>/record/"), ("GET", "emergency/<uuid:pk>/")}
#: Answered to a browser's session.
PAGES = (
    "privacy/",
    "emergency/",
    "consents/",
    "patients/",
    "account/",
    "capture/",
    "worklist/",
    "insight/",
    "notices/",
    "outcomes/",
    "services/",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
