"""Gives the newest answered cases of a crowd embeddings that open, and a reference set, so that a search among them can
be measured.
"""

import numpy as np
from django.db import connection, transaction
from django.utils import timezone

from bench.crowd import Crowd
from diagnosis.models import (
    Analysis,
    Case,
    DataKey,
    FirstRead,
    ModelVersion,
    Patient,
    ReferenceEmbeddings,
    ReferenceImage,
    ReferenceSet,
    Referral,
)
from diagnosis.models.sealed import place_of
from diagnosis.services.reference_sets import unit
from diagnosis.services.similar import MOST_OPENED
from skincare.encryption import key_ring, new_data_key, seal


def seal_embeddings(crowd: Crowd) -> Referral:
    """Seal embeddings for as many cases as a search opens, and return a referral that was read blind by whoever has
    accepted it, who may search.
    """
    answered = Referral.objects.filter(
        service=crowd.service, answered_at__isnull=False, case__analysis__state="answered"
    )
    newest = list(answered.order_by("-answered_at").values_list("case", flat=True)[: MOST_OPENED + 1])
    accepted = Referral.objects.filter(service=crowd.service, state="accepted", case__analysis__state="answered")
    own = accepted.select_related("case", "claimed_by").first()
    if own is None or own.claimed_by is None:
        raise RuntimeError("no referral is accepted")
    user = own.claimed_by
    random = np.random.default_rng(0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        keys: dict[object, bytes] = {}
        for analysis in Analysis.objects.filter(case__in=[*newest, own.case_id]).select_related("case"):
            patient = analysis.case.patient_id
            if patient not in keys:
                keys[patient] = new_data_key()
                wrapped = key_ring().wrap(keys[patient], owner=patient)
                DataKey.objects.filter(pk=patient).update(master_key_id=wrapped.master_key_id, wrapped=wrapped.sealed)
            plain = np.abs(random.normal(size=1280)).astype("<f4").tobytes()
            sealed = seal(keys[patient], plain, place=place_of(analysis, "embedding"))
            Analysis.objects.filter(pk=analysis.pk).update(sealed_embedding=sealed)
        # The other cases of the lesion are before the service too, and would have to be read first.
        for referral in Referral.objects.filter(case__lesion=own.case.lesion_id, answered_at__isnull=True):
            FirstRead.objects.get_or_create(
                referral=referral,
                reader=user,
                defaults={
                    "role": "first",
                    "diagnosis": "nevus",
                    "confidence": 75,
                    "recorded_at": timezone.now(),
                    "blind": True,
                },
            )
        # What a page of this patient shows must open, or not be there.
        Referral.objects.filter(case__patient=own.case.patient_id).update(sealed_question=None)
        Case.objects.filter(patient=own.case.patient_id).update(sealed_note=None)
        Patient.objects.filter(pk=own.case.patient_id).update(sealed_name=None)
    return Referral.objects.with_everything().get(pk=own.pk)


def import_references(images: int, version: ModelVersion) -> None:
    """A public set of so many images, as if the version had seen it: what it shows is not opened by a search."""
    made = ReferenceSet.objects.create(
        name=f"{images} images",
        licence="none",
        licence_address="https://example.org/",
        attribution="made up",
        imported_at=timezone.now(),
    )
    ReferenceImage.objects.bulk_create(
        [
            ReferenceImage(
                set=made, name=f"{number:06}", network_class="nv", confirmed_by="histo", width=600, height=450
            )
            for number in range(images)
        ]
    )
    matrix = unit(np.abs(np.random.default_rng(1).normal(size=(images, 1280)))).astype("<f2")
    ReferenceEmbeddings.objects.create(
        set=made, model_version=version, matrix=matrix.tobytes(), seen=images, near=0.2, close=0.3, alike=0.4
    )
