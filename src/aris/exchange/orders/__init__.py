"""Orders in and reports out by HL7 v2, and orders from a DICOM Modality Worklist."""
