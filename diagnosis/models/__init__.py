"""The entities of the clinical app, one file per group."""

from diagnosis.models.analyses import Analysis, AnalysisState
from diagnosis.models.assessments import AnswerShown, Assessment, FirstRead, Plan, ReadRole, Snippet
from diagnosis.models.cases import Case, CaseImage, CaseState, ImageKind, Suspicion
from diagnosis.models.consents import ConsentChange, ConsentEvent, ConsentPolicy, ConsentScope, EvidenceMethod
from diagnosis.models.corrections import CorrectionReason, PatientCorrection
from diagnosis.models.decisions import CloseReason, Decision, DecisionKind
from diagnosis.models.emergency import EmergencyAccess, EmergencyPolicy, EmergencyReason
from diagnosis.models.erasures import Erasure, ErasureReason
from diagnosis.models.figures import FiguresWaiting, ReferralFigures
from diagnosis.models.notices import (
    DeliveryState,
    MailWanted,
    Notification,
    NotificationPreference,
    SavedView,
    Webhook,
    WebhookDelivery,
)
from diagnosis.models.outcomes import Outcome, OutcomeKind, OutcomeSource
from diagnosis.models.patients import AnatomicalSite, DataKey, FitzpatrickSkinType, Lesion, Patient, Sex
from diagnosis.models.references import Confirmation, ReferenceEmbeddings, ReferenceImage, ReferenceSet
from diagnosis.models.referral_messages import Message, MessageImage, MessageKind, MessagesSeen
from diagnosis.models.referrals import (
    OPEN_STATES,
    DeclineReason,
    OpinionKind,
    OpinionState,
    Referral,
    ReferralState,
    SecondOpinion,
)
from diagnosis.models.retention import RetentionPolicy
from diagnosis.models.service_policies import ServicePolicy, Urgency
from diagnosis.models.shadow import ShadowReading, ShadowState
from diagnosis.models.versions import ModelVersion, VersionOrigin, VersionState

__all__ = [
    "OPEN_STATES",
    "Analysis",
    "AnalysisState",
    "AnatomicalSite",
    "AnswerShown",
    "Assessment",
    "Case",
    "CaseImage",
    "CaseState",
    "CloseReason",
    "Confirmation",
    "ConsentChange",
    "ConsentEvent",
    "ConsentPolicy",
    "ConsentScope",
    "CorrectionReason",
    "DataKey",
    "Decision",
    "DecisionKind",
    "DeclineReason",
    "DeliveryState",
    "EmergencyAccess",
    "EmergencyPolicy",
    "EmergencyReason",
    "Erasure",
    "ErasureReason",
    "EvidenceMethod",
    "FiguresWaiting",
    "FirstRead",
    "FitzpatrickSkinType",
    "ImageKind",
    "Lesion",
    "MailWanted",
    "Message",
    "MessageImage",
    "MessageKind",
    "MessagesSeen",
    "ModelVersion",
    "Notification",
    "NotificationPreference",
    "OpinionKind",
    "OpinionState",
    "Outcome",
    "OutcomeKind",
    "OutcomeSource",
    "Patient",
    "PatientCorrection",
    "Plan",
    "ReadRole",
    "ReferenceEmbeddings",
    "ReferenceImage",
    "ReferenceSet",
    "Referral",
    "ReferralFigures",
    "ReferralState",
    "RetentionPolicy",
    "SavedView",
    "SecondOpinion",
    "ServicePolicy",
    "Sex",
    "ShadowReading",
    "ShadowState",
    "Snippet",
    "Suspicion",
    "Urgency",
    "VersionOrigin",
    "VersionState",
    "Webhook",
    "WebhookDelivery",
]
