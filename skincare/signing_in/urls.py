"""The addresses of signing in and of one's own account. allauth looks for the names with `account_` and `mfa_`."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from skincare.signing_in import account, entering, factors, requirement
from skincare.signing_in.pages import page

_sign_in = page(entering.SignIn.as_view(), signed_in=False)
_sign_out = page(LogoutView.as_view(next_page="home"), signed_in=False)

urlpatterns = [
    path("sign-in/", _sign_in, name="account_login"),
    path("sign-in/", _sign_in, name="sign-in"),
    path("sign-in/code/", page(entering.CodeStep.as_view(), signed_in=False), name="mfa_authenticate"),
    path("sign-in/passkey/", page(entering.PasskeySignIn.as_view(), signed_in=False), name="mfa_login_webauthn"),
    path("sign-out/", _sign_out, name="account_logout"),
    path("sign-out/", _sign_out, name="sign-out"),
    path("admin/login/", page(entering.admin_sign_in, signed_in=False)),
    path("account/", page(account.overview), name="account"),
    path("account/", page(account.overview), name="mfa_index"),
    path("account/", page(account.overview), name="mfa_list_webauthn"),
    path("account/confirm/", page(factors.ConfirmByPassword.as_view()), name="account_reauthenticate"),
    path("account/confirm/code/", page(factors.ConfirmByCode.as_view()), name="mfa_reauthenticate"),
    path("account/confirm/passkey/", page(factors.ConfirmByPasskey.as_view()), name="mfa_reauthenticate_webauthn"),
    path("account/password/", page(factors.NewPassword.as_view()), name="account_change_password"),
    path("account/second-factor/", page(factors.missing), name="second-factor-missing"),
    path("account/app/", page(factors.NewApp.as_view()), name="mfa_activate_totp"),
    path("account/app/remove/", page(factors.RemoveApp.as_view()), name="mfa_deactivate_totp"),
    path("account/passkeys/", page(factors.NewPasskey.as_view()), name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/remove/", page(factors.RemovePasskey.as_view()), name="mfa_remove_webauthn"),
    path("account/recovery-codes/", page(factors.RecoveryCodesPage.as_view()), name="mfa_view_recovery_codes"),
    path("account/recovery-codes/new/", page(factors.NewRecoveryCodes.as_view()), name="mfa_generate_recovery_codes"),
    path("account/sessions/end-others/", page(account.revoke_other_sessions), name="revoke-other-sessions"),
    path("account/sessions/<uuid:pk>/end/", page(account.revoke_session), name="revoke-session"),
    path("account/tokens/", page(account.new_token), name="new-token"),
    path("account/tokens/<slug:name>/end/", page(account.revoke_token), name="revoke-token"),
    path("account/organisations/<uuid:pk>/", page(requirement.requirement), name="second-factor-requirement"),
]
