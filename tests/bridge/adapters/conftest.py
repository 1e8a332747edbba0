from tests.bridge.adapters.ndi_here import ndi_here

__all__ = ["ndi_here"]
