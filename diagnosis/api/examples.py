"""Examples of cases for the OpenAPI document, as the demo clinic would get them."""

from typing import Any, Final

_CASE_ID: Final = "4f0e1f9e-2f6b-4a7d-8c1e-9d5b7a3c6e21"
_PATIENT: Final = "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55"
_LESION: Final = "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01"
_IMAGE: Final = "c2b8d7f4-2a3e-4d4b-8d6f-5b0a9e7c1f30"
_ANALYSIS: Final = "a9d1c3b2-7e64-4b8e-9f0a-6c5d4e3f2a10"
_API: Final = "https://skincare.example.org/api/v1"

_SUPPORT: Final = "This supports the clinician's judgement; it is not a diagnosis, which a doctor makes."

EXAMPLE_SUMMARY: Final = {
    "id": _CASE_ID,
    "url": f"{_API}/cases/{_CASE_ID}/",
    "organisation": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77",
    "patient": _PATIENT,
    "lesion": _LESION,
    "submitted_at": "2026-11-23T09:12:44.150000Z",
    "seen_at": "2026-11-23T09:10:00Z",
    "state": "answered",
    "state_text": "Answered by the network",
    "anatom_site_general": "upper extremity",
    "age_approx": 65,
    "sex": "female",
    "checklist_score": 2,
    "suspicion": "unsure",
    "malignancy_risk": 0.61,
    "predicted": "mel",
    "recommendation": "refer_urgently",
    "answered_at": "2026-11-23T09:12:44.512000Z",
}

_NETWORK_DECIDED: Final = (
    "The network's malignancy risk is above the threshold, or its decision falls on a malignant diagnosis."
)

_WAITING_ANALYSIS: Final[dict[str, Any]] = {
    "id": _ANALYSIS,
    "state": "waiting",
    "reason": "",
    "reason_text": "",
    "statement": (
        "The network has not answered yet. If you are worried, do not wait for it: refer. Refer to dermatology. "
        f"The lesion grows. {_SUPPORT}"
    ),
    "probabilities": None,
    "malignancy_risk": None,
    "predicted": None,
    "predicted_name": None,
    "recommendation": "refer",
    "recommendation_text": "Refer to dermatology.",
    "decided_by": "growth",
    "decided_by_text": "The lesion grows.",
    "notices": [],
    "deciding_image": None,
    "readings": [],
    "model_version": None,
    "conditions": {},
    "timings": {},
    "map": None,
    "attempts": 0,
    "waiting_since": "2026-11-23T09:12:44.155000Z",
    "finished_at": None,
}

EXAMPLE_WAITING: Final = {
    "id": _CASE_ID,
    "organisation": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77",
    "patient": _PATIENT,
    "lesion": _LESION,
    "submitted_by": "3f1d8f0a-52f5-4d0c-8a5e-5a4b7f0e9d10",
    "submitted_at": "2026-11-23T09:12:44.150000Z",
    "seen_at": "2026-11-23T09:10:00Z",
    "state": "waiting",
    "state_text": "Waiting for the network",
    "poll_after_ms": 150,
    "age_approx": 65,
    "sex": "female",
    "anatom_site_general": "upper extremity",
    "fitzpatrick_skin_type": "II",
    "suspicion": "unsure",
    "impression": "nv",
    "checklist": {
        "change_in_size": True,
        "irregular_shape": False,
        "irregular_colour": False,
        "diameter_7_mm_or_more": False,
        "inflammation": False,
        "oozing": False,
        "change_in_sensation": False,
        "score": 2,
    },
    "bleeding": False,
    "growth": True,
    "personal_hx_mm": False,
    "family_hx_mm": None,
    "personal_hx_skin_cancer": None,
    "sun_damage": None,
    "immunosuppression": None,
    "note": "Noticed by her partner in spring.",
    "images": [
        {
            "id": _IMAGE,
            "position": 1,
            "kind": "dermoscopic",
            "width": 600,
            "height": 450,
            "received_format": "JPEG",
            "sha256": "0e6f5a…",
            "quality": {"problems": [], "warnings": []},
            "content": f"{_API}/images/{_IMAGE}/content/?signature=1795425300-5d1c…",
        }
    ],
    "analysis": _WAITING_ANALYSIS,
    "links": {
        "self": f"{_API}/cases/{_CASE_ID}/",
        "patient": f"{_API}/patients/{_PATIENT}/",
        "lesion": f"{_API}/lesions/{_LESION}/",
        "consents": f"{_API}/patients/{_PATIENT}/consents/",
        "retry": None,
    },
}

EXAMPLE_ANSWERED: Final = {
    **EXAMPLE_WAITING,
    "state": "answered",
    "state_text": "Answered by the network",
    "poll_after_ms": None,
    "analysis": {
        **_WAITING_ANALYSIS,
        "state": "answered",
        "statement": (
            f"Refer urgently, on the suspected skin cancer pathway. {_NETWORK_DECIDED} The network puts the risk of a "
            "malignant or pre-malignant lesion at 61%. The most probable diagnosis is Melanoma, at 58%. "
            f"{_SUPPORT}"
        ),
        "probabilities": {
            "akiec": 0.02,
            "bcc": 0.01,
            "bkl": 0.08,
            "df": 0.01,
            "mel": 0.58,
            "nv": 0.295,
            "vasc": 0.005,
        },
        "malignancy_risk": 0.61,
        "predicted": "mel",
        "predicted_name": "Melanoma",
        "recommendation": "refer_urgently",
        "recommendation_text": "Refer urgently, on the suspected skin cancer pathway.",
        "decided_by": "network",
        "decided_by_text": _NETWORK_DECIDED,
        "deciding_image": _IMAGE,
        "readings": [{"position": 1, "kind": "dermoscopic", "malignancy_risk": 0.61, "predicted": "mel"}],
        "model_version": {
            "id": "0c9b0b8e-6f55-4f8b-9f3c-7a2d6a1b5e44",
            "name": "ham10000-mobilenetv2-1",
            "url": f"{_API}/model-versions/0c9b0b8e-6f55-4f8b-9f3c-7a2d6a1b5e44/",
        },
        "conditions": {"preprocessing": "squash-224-bilinear-antialias/1", "temperature": 1.2, "backend": "litert"},
        "timings": {"open_views_ms": 0.9, "forward_ms": 2.1},
        "map": f"{_API}/analyses/{_ANALYSIS}/map/",
        "attempts": 1,
        "finished_at": "2026-11-23T09:12:44.290000Z",
    },
}
