-- Write a setting, whatever its version. 1: key, 2: value.
INSERT INTO setting (key, value, version)
VALUES (?1, ?2, 1)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = setting.version + 1;
