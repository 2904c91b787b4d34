"""What crosses the border of the house: documents in DICOM, FHIR and print; the DICOM node; de-identification."""
