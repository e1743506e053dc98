"""Changes: each is one transaction of lock, check, change and audit entry. All SQL that admins change data by."""
