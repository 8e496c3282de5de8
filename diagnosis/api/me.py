"""me/: who the request's user is and what they may do."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.schema import problem_examples
from diagnosis.api.tokens import EXAMPLE_TOKEN, TokenDocument
from diagnosis.api.views import ApiView
from skincare.accounts.models import ApiToken, Membership, Organisation, User


class OrganisationDocument(serializers.ModelSerializer[Organisation]):
    """A clinic or dermatology service."""

    class Meta:
        model = Organisation
        fields: ClassVar = ["id", "name", "kind"]


class MembershipDocument(serializers.ModelSerializer[Membership]):
    """One role in one organisation."""

    organisation = OrganisationDocument()

    class Meta:
        model = Membership
        fields: ClassVar = ["organisation", "role"]


class MeDocument(serializers.ModelSerializer[User]):
    """The user, their roles, and the token in use."""

    memberships = MembershipDocument(many=True)
    token = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: ClassVar = ["id", "email", "first_name", "last_name", "is_model_steward", "memberships", "token"]

    @extend_schema_field(TokenDocument(allow_null=True))
    def get_token(self, _user: User) -> Any:
        """The token in use; null in a session."""
        used = self.context["request"].auth
        return TokenDocument(used, context=self.context).data if isinstance(used, ApiToken) else None


class MeView(ApiView):
    """The request's user."""

    access: ClassVar = {"GET": Access.SIGNED_IN}

    @extend_schema(
        operation_id="me_retrieve",
        summary="Who you are and what you may do",
        tags=["Signing in"],
        responses={200: MeDocument, **problem_examples(401)},
        examples=[
            OpenApiExample(
                "A clinician",
                value={
                    "id": "3f1d8f0a-52f5-4d0c-8a5e-5a4b7f0e9d10",
                    "email": "clinician@example.org",
                    "first_name": "Ada",
                    "last_name": "Okafor",
                    "is_model_steward": False,
                    "memberships": [
                        {
                            "organisation": {
                                "id": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77",
                                "name": "Hill Road Surgery",
                                "kind": "clinic",
                            },
                            "role": "clinician",
                        }
                    ],
                    "token": EXAMPLE_TOKEN | {"current": True},
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """Tell who the user is."""
        user: Any = User.objects.prefetch_related("memberships__organisation").get(pk=signed_in(request).pk)
        return Response(MeDocument(user, context={"request": request}).data)
