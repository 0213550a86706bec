"""What is raised where features cannot be read, written or compared."""


class PackError(ValueError):
    """A pack, or a folder of features, cannot be used; the message lists every problem with what to do."""
