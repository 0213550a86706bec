"""Stands for torch: what it sees when it is imported is what it uses."""

import os

GPU = os.environ.get("CUDA_VISIBLE_DEVICES", "")
