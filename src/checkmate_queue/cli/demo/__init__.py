"""`checkmate-queue demo`: five patterns at once, on real work, with a worker killed on the way."""
