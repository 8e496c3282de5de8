"""Administration of organisations, people and tokens. No patient data."""

from typing import ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.http import HttpRequest

from skincare.accounts.models import ApiToken, Membership, Organisation, User


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
class AccountAdmin(UserAdmin):
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


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):
    """Clinics and dermatology services."""

    list_display = ("name", "kind", "created_at")
    list_filter = ("kind",)
    search_fields = ("name",)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens can be seen and revoked; they are issued through the API only, and shown once."""

    list_display = ("name", "user", "scopes", "created", "expiry")
    search_fields = ("name", "user__email")
    fields = ("name", "user", "scopes", "created", "expiry")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: a token made here could not be shown to its owner."""
        return False
