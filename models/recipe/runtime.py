"""What every script does first: environment defaults (before torch is imported), device, memory, safe writes."""
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve one another on a shared core
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")  # kernels are compiled per shape; keep them

import torch  # noqa: E402


def device(name: str | None = None) -> torch.device:
    """The named device, else CUDA where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def product_type(device: torch.device) -> torch.dtype:
    """Of the operands of large products: bf16, but float32 on a CPU that would emulate it (8 times slower where measured)."""
    able = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # torch has no public names
    return torch.float32 if device.type == "cpu" and not able else torch.bfloat16


def resident_bytes() -> int:
    """Resident memory of this process, in bytes (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def atomically(path: str, write) -> None:
    """Call write(temporary path), then move the result to `path`: a reader never sees half a file."""
    write(path + ".tmp")
    os.replace(path + ".tmp", path)
