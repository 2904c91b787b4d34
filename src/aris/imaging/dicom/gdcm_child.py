"""Decode images with GDCM in a process of its own: `python gdcm_child.py`, length-prefixed DICOM in, NPY out.

GDCM is the one decoder here of lossless and of 12-bit JPEG, which radiographs often are. Met with a damaged stream it
may end its process (an uncaught C++ exception) and it writes to stderr, so it gets a process that may end.
`aris.imaging.dicom.codecs` starts this file; it imports nothing of Aris, so that it starts quickly.

Each message is 8 bytes of length (little-endian) and that many bytes; an answer of length 0 says that it failed.
"""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from typing import Any

JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
# Of one image: of processor time, after which the process ends whatever code it is in, and of memory.
MAX_SECONDS, MAX_BYTES = 10, 4 << 30


def main() -> int:
    limit_memory()
    while len(head := sys.stdin.buffer.read(8)) == 8:
        data = sys.stdin.buffer.read(int.from_bytes(head, "little"))
        try:
            with limited_time():
                answer = decode(data)
        except Exception:  # damaged streams raise many kinds
            answer = b""
        sys.stdout.buffer.write(len(answer).to_bytes(8, "little") + answer)
        sys.stdout.buffer.flush()
    return 0


def limit_memory() -> None:
    """Beyond `MAX_BYTES` allocation fails; where the system knows no such limit, nothing."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))


@contextlib.contextmanager
def limited_time() -> Any:
    """Ends this process after `MAX_SECONDS` of processor time: SIGPROF does so by default."""
    known = hasattr(signal, "setitimer")
    if known:
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    yield
    if known:
        signal.setitimer(signal.ITIMER_PROF, 0)


def decode(data: bytes) -> bytes:
    """Decode a frame's values to an NPY file."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    dataset = dcmread(io.BytesIO(data))
    if dataset.file_meta.TransferSyntaxUID == JPEG_EXTENDED and dataset.BitsStored > 8:
        decoded = extended(dataset)
    else:
        decoded = pixel_array(dataset, decoding_plugin="gdcm")
    out = io.BytesIO()
    np.save(out, decoded, allow_pickle=False)
    return out.getvalue()


def extended(dataset: Any) -> Any:
    """Grey 12-bit JPEG (ISO/IEC 10918-1, process 4), which GDCM reads though pydicom doesn't ask it to."""
    import gdcm
    import numpy as np
    from pydicom.encaps import get_frame

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, 0, number_of_frames=1))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((int(dataset.Columns), int(dataset.Rows), 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(JPEG_EXTENDED)))
    bits = int(dataset.BitsStored)
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, int(dataset.PixelRepresentation)))
    # A str is how the wrapper returns bytes.
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), dtype="<u2")
    values = values.reshape(int(dataset.Rows), int(dataset.Columns))
    if int(dataset.PixelRepresentation):
        return (values.astype(np.int32) << (32 - bits) >> (32 - bits)).astype(np.int16)
    return values


if __name__ == "__main__":
    sys.exit(main())
