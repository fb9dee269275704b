"""The errors a user can meet."""


class InputError(ValueError):
    """What the caller gave cannot be used; the message is one sentence that says what was wrong and what to do."""
