"""Made-up DICOM series and slides whose every voxel is known: to try a pipeline, and to test one."""

from aris.imaging.synthetic.series import write_series

__all__ = ["write_series"]
