-- Who may do what. Takes nothing; returns user, role, the number of the last change of that user.
SELECT user, role, change FROM permissions;
