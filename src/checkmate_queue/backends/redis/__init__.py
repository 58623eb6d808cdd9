"""Redis and Valkey: all atomicity in Lua, one script for each verb."""
