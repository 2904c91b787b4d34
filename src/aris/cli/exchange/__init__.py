"""Commands over documents, objects and the DICOM node."""
