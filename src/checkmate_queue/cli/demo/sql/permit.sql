-- Gives a user a role. Takes user, role, the number of the change; returns nothing.
INSERT INTO permissions (user, role, change)
VALUES (?, ?, ?)
ON CONFLICT (user) DO UPDATE SET role = excluded.role, change = excluded.change;
