"""Which device the networks run on."""


def resolve(asked: str) -> str:
    """`auto` is the first CUDA device where there is one, otherwise the processor."""
    if asked != "auto":
        return asked
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
