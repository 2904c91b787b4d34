"""Exchange with other systems: documents in DICOM, FHIR and print; the DICOM node; DICOMweb; de-identification."""
