"""DICOM objects: headers and pixels, decoded and shown as the standard has it."""
