"""The one exception for everything that the user can mend."""


class UserError(Exception):
    """Bad input: the message is one line that names the file or key and says how to mend it."""
