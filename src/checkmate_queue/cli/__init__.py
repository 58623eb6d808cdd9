"""The command `checkmate-queue`."""
