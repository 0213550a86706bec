"""The files of a repository of a model hub."""

import shutil
from pathlib import Path

from preprocess.downloads.problem import unreachable

FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]  # no pickles


def take(role: str, name: str, target: Path, cache: Path) -> None:
    """Copy the files of <owner>/<name>@<revision> into `target`; huggingface_hub continues an interrupted download."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    repository, _, revision = name.partition("@")
    hub = f"the hub at {constants.ENDPOINT}"
    try:
        folder = snapshot_download(repository, revision=revision, cache_dir=cache, allow_patterns=FILES)
    except RevisionNotFoundError:
        raise unreachable(role, f"hub:{name}", f"{hub} has no revision {revision} of {repository}") from None
    except RepositoryNotFoundError:
        raise unreachable(role, f"hub:{name}", f"{hub} shows no repository {repository}") from None
    except (HfHubHTTPError, HFValidationError, OSError) as error:  # OSError: no connection, and no earlier download
        raise unreachable(role, f"hub:{name}", f"{hub} cannot be reached: {type(error).__name__}") from None
    shutil.copytree(folder, target, dirs_exist_ok=True)
