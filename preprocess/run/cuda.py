"""The GPUs that CUDA's driver library sees, asked without torch. Standard library alone: Ray sends this file to its nodes."""

import ctypes

NAME = 128  # bytes for the name of a GPU


def kinds() -> list[str]:
    """The name of each GPU that this process may use, in CUDA's order; none where there is no driver.

    CUDA_VISIBLE_DEVICES is read at the first call in a process.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    names = []
    for i in range(count.value):
        name, device = ctypes.create_string_buffer(NAME), ctypes.c_int()
        cuda.cuDeviceGet(ctypes.byref(device), i)
        cuda.cuDeviceGetName(name, NAME, device)
        names.append(name.value.decode())
    return names
