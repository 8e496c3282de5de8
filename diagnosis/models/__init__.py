"""The entities of the clinical app, one file per group."""

from diagnosis.models.analyses import Analysis, AnalysisState
from diagnosis.models.cases import Case, CaseImage, CaseState, ImageKind, Suspicion
from diagnosis.models.consents import ConsentChange, ConsentEvent, ConsentPolicy, ConsentScope, EvidenceMethod
from diagnosis.models.erasures import Erasure, ErasureReason
from diagnosis.models.patients import AnatomicalSite, DataKey, FitzpatrickSkinType, Lesion, Patient, Sex
from diagnosis.models.retention import RetentionPolicy
from diagnosis.models.versions import ModelVersion, VersionState

__all__ = [
    "Analysis",
    "AnalysisState",
    "AnatomicalSite",
    "Case",
    "CaseImage",
    "CaseState",
    "ConsentChange",
    "ConsentEvent",
    "ConsentPolicy",
    "ConsentScope",
    "DataKey",
    "Erasure",
    "ErasureReason",
    "EvidenceMethod",
    "FitzpatrickSkinType",
    "ImageKind",
    "Lesion",
    "ModelVersion",
    "Patient",
    "RetentionPolicy",
    "Sex",
    "Suspicion",
    "VersionState",
]
