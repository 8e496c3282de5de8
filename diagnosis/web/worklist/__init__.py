"""/worklist/: where dermatologists work through the referrals of their services."""
