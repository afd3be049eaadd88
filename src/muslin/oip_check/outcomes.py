"""What a check raises where its rule did not pass."""


class RuleBrokenError(Exception):
    """The server breaks the rule; the text says how."""


class NotOfferedError(Exception):
    """The server or the model does not have what the rule is about, and need not."""


class NotTriedError(Exception):
    """The rule could not be tried; the text says what it lacked."""
