"""Organisations, users and their roles, and the tokens by which programs act for a user."""

from typing import Any, ClassVar, Final
from uuid import uuid4

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property
from knox.models import AbstractAuthToken, AuthTokenManager


class Organisation(models.Model):
    """A clinic that sends cases, or a dermatology service that answers referrals."""

    class Kind(models.TextChoices):
        CLINIC = "clinic", "Clinic"
        DERMATOLOGY_SERVICE = "dermatology_service", "Dermatology service"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=30, choices=Kind)
    created_at = models.DateTimeField(auto_now_add=True)
    second_factor_required_from = models.DateTimeField(
        null=True,
        blank=True,
        help_text="From then on members need a second factor to sign in, and can do nothing without one. Empty: never.",
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind__in=["clinic", "dermatology_service"]), name="organisation_kind_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Creates users who log in by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create a user; the address is kept in lower case, since people do not distinguish it.

        Raises:
            ValueError: no address was given.
        """
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create a platform operator, who may open the Django admin (which shows no patient data)."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find by e-mail address in whatever case it was typed."""
        return self.get(email=(username or "").strip().lower())


#: Of a user: what rules more than one's own patients.
POWERS: Final = ("is_active", "is_model_steward", "is_staff", "is_superuser")


class User(AbstractUser):
    """A person, known by e-mail address. What they may do follows from their memberships."""

    username = None  # type: ignore[assignment]
    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    email = models.EmailField("e-mail address", unique=True)
    is_model_steward = models.BooleanField(
        "model steward", default=False, help_text="May start, judge and release versions of the network."
    )

    #: Sessions that began before are over.
    signed_out_everywhere_at = models.DateTimeField(null=True, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = []

    objects: ClassVar = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="user_email_is_unique_in_any_case")]

    def __str__(self) -> str:
        return self.email

    @cached_property
    def roles(self) -> frozenset[str]:
        """Roles that the user has in any organisation, for menus; what they may do is asked of the memberships."""
        return frozenset(self.memberships.values_list("role", flat=True))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, with the address in lower case, as it is looked for."""
        self.email = self.email.strip().lower()
        super().save(*args, **kwargs)

    def sign_out_everywhere(self) -> int:
        """End all tokens and all sessions. Returns how many tokens there were."""
        self.signed_out_everywhere_at = timezone.now()
        self.save(update_fields=["signed_out_everywhere_at"])
        BrowserSession.objects.filter(user=self).delete()
        ended, _ = ApiToken.objects.filter(user=self).delete()
        return ended

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        # Django compares this with what each session holds: another moment makes every earlier session invalid.
        return salted_hmac(
            "skincare.accounts.models.User.session",
            f"{self.password}|{self.signed_out_everywhere_at}",
            secret=secret,
            algorithm="sha256",
        ).hexdigest()


class BrowserSession(models.Model):
    """A session as its user sees it: which device, since when, last used. It is deleted with the session."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="browser_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    began_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(auto_now_add=True)
    #: Such as "Firefox on Windows"; what the browser says in full would tell one person from another.
    device = models.CharField(max_length=60)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        ordering: ClassVar = ["-last_used_at"]

    def __str__(self) -> str:
        return f"{self.device} of {self.user}"


class Role(models.TextChoices):
    """What a member does in an organisation."""

    CLINICIAN = "clinician", "Clinician"
    DERMATOLOGIST = "dermatologist", "Dermatologist"
    ADMINISTRATOR = "administrator", "Administrator"


class Membership(models.Model):
    """One role of one user in one organisation."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "organisation", "role"], name="membership_is_unique"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} at {self.organisation}"


class TokenScope(models.TextChoices):
    """What a token's holder may do with it; never more than the user may."""

    READ = "read", "Read what the user may see"
    WRITE = "write", "Submit and change what the user may"


class ApiToken(AbstractAuthToken):
    """A named, scoped, expiring token; only its SHA-512 digest is stored."""

    name = models.CharField(max_length=100, default="unnamed")
    scopes = ArrayField(models.CharField(max_length=10, choices=TokenScope), default=list)
    second_factor = models.BooleanField(default=False, help_text="Whether it was issued after a second factor.")

    objects: ClassVar = AuthTokenManager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(expiry__isnull=False), name="token_expires"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"
