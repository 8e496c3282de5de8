"""Administration of organisations, people and tokens. No patient data."""

from typing import Any, ClassVar
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from skincare.accounts import tokens
from skincare.accounts.models import POWERS, ApiToken, Membership, Organisation, User
from skincare.accounts.second_factor import record_requirement
from skincare.audit.by_hand import Recorded
from skincare.audit.record import record

# allauth's own pages of these show secrets, or what nobody here uses.
admin.site.unregister([Authenticator, EmailAddress])
# Registered anew below, so that what is done there is in the record.
admin.site.unregister([Group])


class MembershipInline(admin.TabularInline):
    """Roles, shown with the user."""

    model = Membership
    extra = 0


class UserCreationForm(AdminUserCreationForm):
    """Asks for the e-mail address where Django's form asks for a user name."""

    class Meta:
        model = User
        fields = ("email",)
        field_classes: ClassVar[dict[str, type]] = {}


@admin.register(User)
class AccountAdmin(Recorded, UserAdmin):
    """People, with their roles."""

    add_form = UserCreationForm
    ordering: ClassVar = ["email"]
    list_display = ("email", "first_name", "last_name", "is_active", "is_model_steward", "is_staff")
    list_filter = ("is_active", "is_model_steward", "is_staff")
    search_fields = ("email", "first_name", "last_name")
    inlines = (MembershipInline,)
    fieldsets = [
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        ("May", {"fields": ("is_active", "is_model_steward", "is_staff", "is_superuser", "groups")}),
    ]
    add_fieldsets = [(None, {"fields": ("email", "usable_password", "password1", "password2")})]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save, and record who changed what a person may do."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            powers = [name for name in form.changed_data if name in POWERS]
            if powers:
                assert isinstance(request.user, User)
                now = {name: getattr(obj, name) for name in powers if isinstance(getattr(obj, name), bool)}
                record("user.powers_changed", obj, actor=request.user, details=now)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save roles, and record who gave or took them: by a role somebody sees patients."""
        with transaction.atomic():
            if formset.model is not Membership:
                super().save_formset(request, form, formset, change)
                return
            ended = [(each.pk, each.organisation_id, each.role) for each in _to_end(formset)]
            super().save_formset(request, form, formset, change)
            assert isinstance(request.user, User)
            for pk, organisation_id, role in ended:
                gone = Membership(pk=pk)
                _record_role("membership.ended", gone, request.user, form.instance, organisation_id, role)
            for given in [*formset.new_objects, *(each for each, _fields in formset.changed_objects)]:
                _record_role("membership.given", given, request.user, form.instance, given.organisation_id, given.role)


def _to_end(formset: Any) -> list[Membership]:
    return [form.instance for form in formset.deleted_forms if form.instance.pk is not None]


def _record_role(
    action: str, membership: Membership, actor: User, person: User, organisation_id: UUID, role: str
) -> None:
    details = {"user": str(person.pk), "role": str(role)}
    record(action, membership, actor=actor, organisation_id=organisation_id, details=details)


@admin.register(Group)
class RecordedGroupAdmin(Recorded, GroupAdmin):
    """Sets of rights in this administration."""


@admin.register(Organisation)
class OrganisationAdmin(Recorded, admin.ModelAdmin):
    """Clinics and dermatology services."""

    list_display = ("name", "kind", "second_factor_required_from", "created_at")
    list_filter = ("kind",)
    search_fields = ("name",)

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        """Save, and record a change of what members need to sign in."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if "second_factor_required_from" in form.changed_data:
                assert isinstance(request.user, User)
                record_requirement(obj, request.user)


@admin.register(Authenticator)
class SecondFactorAdmin(Recorded, admin.ModelAdmin):
    """Who has which second factor. Deleting one is the way back for somebody who lost it; it is recorded."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__email",)
    fields = ("user", "type", "created_at", "last_used_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only its owner can."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing to change."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(Recorded, admin.ModelAdmin):
    """Tokens can be seen and revoked; they are issued through the API only, and shown once."""

    list_display = ("name", "user", "scopes", "created", "expiry")
    search_fields = ("name", "user__email")
    fields = ("name", "user", "scopes", "created", "expiry")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: a token made here could not be shown to its owner."""
        return False

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """Revoke, and record who did."""
        self.delete_queryset(request, ApiToken.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke several."""
        assert isinstance(request.user, User)
        with transaction.atomic():
            for token in queryset:
                tokens.revoke(token, by=request.user)
