-- See SettingsStore.load_setting. $1: key.
SELECT value, version FROM /* schema. */setting WHERE key = $1
