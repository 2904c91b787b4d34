"""Decode one image with GDCM in a process of its own: `python gdcm_child.py < DICOM > NPY`.

GDCM is the one decoder here of lossless and of 12-bit JPEG, which radiographs often are. Met with a damaged stream it
may end its process (an uncaught C++ exception) and it writes to stderr, so it gets a process that may end.
`aris.imaging.codecs` starts this file; it imports nothing of Aris, so that it starts quickly.
"""

from __future__ import annotations

import io
import sys


def main() -> int:
    import numpy as np
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    dataset = dcmread(io.BytesIO(sys.stdin.buffer.read()))
    decoded = pixel_array(dataset, decoding_plugin="gdcm")
    np.save(sys.stdout.buffer, decoded, allow_pickle=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
